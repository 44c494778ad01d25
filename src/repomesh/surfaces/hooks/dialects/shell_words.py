"""Parses a shell command into words and simple commands, without running anything.

One pass from left to right: every character is read a bounded number of times, whatever the text is. All
texts inside one command share a StepBudget, so that nested commands are bounded, too.
A word records whether it is quoted, whether it is a pattern, and where a part begins that is only known when
it runs (a variable, the output of a command).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from repomesh.kernel.limits import (
    SHELL_CHARS_MAX,
    SHELL_NESTING_MAX,
    SHELL_WORD_FORMS_MAX,
)
from repomesh.surfaces.hooks.dialects.folders import WorkingFolders
from repomesh.surfaces.hooks.dialects.inline_code import PROCESS
from repomesh.surfaces.hooks.dialects.printed_texts import PrintedTexts
from repomesh.surfaces.hooks.dialects.programs import ProgramCall
from repomesh.surfaces.hooks.dialects.variables import Variables, last_places
from repomesh.surfaces.hooks.dialects.word_forms import (
    BRACE_CLOSE,
    BRACE_COMMA,
    BRACE_OPEN,
    ShellBoundExceeded,
    ShellWord,
    StepBudget,
)
from repomesh.surfaces.hooks.dialects.word_lists import POSITIONAL, merge_lists, split_value

_BLANKS = " \t\r"
_ENDS = _BLANKS + "\n;&|()<>"
_OPERATORS = frozenset({"&>>", "<<<", "<<-", ";;&", "&>", ">>", ">|", ">&", "<>", "<<", "<&"})
_OPERATORS |= {"&&", "||", "|&", ";;", ";&"}
_HERE_END = re.compile(r"""(-)?[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|\\?([^\s;&|<>()'"]+))""")
_BLANK_RUN = re.compile(r"[ \t\r]*(?:#[^\n]*)?")
_LINE_ENDS = re.compile(r"[ \t\r\n]*")
_PLAIN_RUN = re.compile(
    r"""[^ \t\r\n;&|()<>'"\\$`{},*?+@!\[]+"""
)  # of a word, in which nothing has a meaning
_UNQUOTED_RUN = re.compile(r"[^\\$`]*")  # of a here-document
_PLAIN_WORD = re.compile(rf"[ \t\r]*(?!#|~)({_PLAIN_RUN.pattern})(?=[ \t\r\n;&|()]|\Z)")
_QUOTED_RUN = re.compile(r'[^"\\$`]+')
_BACKQUOTED = re.compile(r"(?:[^`\\]|\\.)*", re.DOTALL)
_ANSI_QUOTED = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_DEFAULT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?:?=")  # `${NAME:=value}` sets it
_NAME = re.compile(r"[A-Za-z0-9_]+|[@*#?!$-]")
_LIST_NAME = re.compile(r"(?:([A-Za-z_]\w*)\[[@*]\]|[@*])(?::(\d{1,3}))?")
_EXPANSION_ALONE = re.compile(r"""(?:"\$(?:\{[^{}"]*\}|\w+|[@*])"|\$(?:\{[^{}"]*\}|\w+|[@*]))""")
_PARAMETER_DIGITS_MAX = 3  # of a positional parameter's number; nobody uses the thousandth
_WILDCARDS = frozenset("*?[")
_SIGNS = {  # the relevant signs within a substitution, by its closing sign
    ")": re.compile(r"""[\\)$"'(#<\n]"""),
    "}": re.compile(r"""[\\}$"']"""),
    '"': re.compile(r'[\\"$]'),
}
_ARITHMETIC_CHARS = 200  # searched for its end; anything longer is read as commands
_STEPS_OF_COMMAND: Final = 4
_STEPS_OF_OPERATOR: Final = 3
_STEPS_OF_WORD: Final = 3
_STEPS_OF_SIGN: Final = 2
_STEPS_OF_EXPANSION: Final = 2
_STEPS_OF_FORM: Final = 3
_CODE_CHARS_PER_STEP: Final = 4
_PRINTING = (["cat"], ["echo"], ["printf"])
_QUOTED_DOCUMENT = re.compile(r"""<<-?[ \t]*['"\\]""")
_TEMPORARY = "/tmp"  # noqa: S108 - nothing is made there; it stands for a place outside of any repository


@dataclass(slots=True)
class ShellCommand:
    """A simple command: its words, the files of its output, and its standard input if known.

    The standard input is a text, or a file that is named.
    """

    words: list[ShellWord] = field(default_factory=list)
    outputs: list[ShellWord] = field(default_factory=list)
    stdin_text: str | None = None
    stdin_file: ShellWord | None = None
    stdin_word: ShellWord | None = None
    """Its standard input, if that is a word whose text is only known when it runs: `<<< "$TEXT"`."""
    piped: bool = False
    ending: str = ""
    """The operator behind it."""
    opens: int = 0
    closes: int = 0
    brackets: bool = False
    """Whether brackets follow its words: the head of a function, or an array."""


class ShellReader:
    """Parses one text. `inner` collects the texts of command substitutions, which run as commands, too."""

    def __init__(self, text: str, steps: StepBudget, variables: Variables | None = None) -> None:
        self.steps = steps
        self.text = text.replace("\\\n", "")
        self.at = 0
        self.inner: list[str] = []
        self.incomplete = False
        """Whether the text ends within a quotation or a substitution."""
        self.variables = variables if variables is not None else Variables(steps)
        self.expanded: set[str] = set()
        """The variables that the last command's words hold."""
        self._word_list: list[ShellWord] | None = None
        """The words that the last word stands for, if it is the expansion of a list alone."""
        self._inserted: list[tuple[int, str]] = []
        """The parts of the current word's code that its text leaves out, with the index of the next piece."""
        self._is_code_known = True
        self._is_inside_output = False
        self._code_budget = SHELL_CHARS_MAX  # of characters that such parts add
        self._last_places: dict[int, dict[str, int]] = {}
        self._budget = SHELL_CHARS_MAX  # of characters that variables add: `A=$A$A` grows without end
        self._line_end = (
            self._documents_end
        ) = -1  # of the line that here-documents stand behind, and where these end

    def next_command(self) -> ShellCommand | None:
        """The next simple command, which may be without words; None at the end."""
        if self._line_end < self.at:  # no here-document begins behind the line
            self.at = _match_end(_LINE_ENDS, self.text, self.at)
        self.steps.take(_STEPS_OF_COMMAND)
        if self.at >= len(self.text):
            return None
        command = ShellCommand()
        open_brackets = 0
        self.expanded = set()
        while self.at < len(self.text):
            if (plain := _PLAIN_WORD.match(self.text, self.at)) is not None:  # as most are
                self.steps.take(_STEPS_OF_WORD)
                command.words.append(ShellWord(plain[1]))
                self.at = plain.end()
                continue
            self._skip_blanks()
            operator = self._operator()
            if operator == "":
                if self.at >= len(self.text):
                    break
                word = self._word()
                if self._word_list is not None:
                    command.words += self._word_list
                elif not (self._is_before_redirect() and word.text.isdigit() and not word.quoted):
                    command.words.append(word)
            elif operator[0] in "<>" or operator in ("&>", "&>>"):
                self._redirect(command, operator)
            elif operator == "(" and not command.words and self._skip_arithmetic():
                continue
            else:
                if operator == "\n" and self.at - 1 == self._line_end:
                    self.at = max(self.at, self._documents_end)
                if operator == "(" and command.words:
                    open_brackets += 1
                    continue
                if operator == ")" and open_brackets:
                    open_brackets -= 1
                    command.brackets = True
                    if open_brackets:
                        continue
                else:
                    command.opens += open_brackets + (operator == "(")
                    command.closes += operator == ")"
                command.ending = operator
                command.piped = operator in ("|", "|&")
                if operator != "(":
                    return command
        return command

    def last_places(self, keyword: str = "") -> dict[str, int]:
        """Where each name stands last in the text, before the last such keyword."""
        end = self.text.rfind(keyword) if keyword else len(self.text)
        if end not in self._last_places:
            self._last_places[end] = last_places(self.text, max(end, 0), self.steps)
        return self._last_places[end]

    def expands_what_follows(self) -> bool:
        """Whether the last command holds a variable that the rest of the text may set."""
        places = self.last_places() if self.expanded else {}
        return any(places.get(name, -1) >= self.at for name in self.expanded)

    # -- operators ---------------------------------------------------------------------------------

    def _skip_blanks(self) -> None:
        self.at = _match_end(_BLANK_RUN, self.text, self.at)

    def _operator(self) -> str:
        text, at = self.text, self.at
        if at >= len(text) or text[at] not in "\n;&|()<>":
            return ""
        self.steps.take(_STEPS_OF_OPERATOR)
        operator = next((sign for size in (3, 2) if (sign := text[at : at + size]) in _OPERATORS), text[at])
        self.at += len(operator)
        return operator

    def _skip_arithmetic(self) -> bool:
        """Skip `((i > 2))`, in which nothing is a redirection; True if there was one."""
        text, start = self.text, self.at
        end = text.find("))", start, start + _ARITHMETIC_CHARS) if text.startswith("(", start) else -1
        if end < 0 or ";" in text[start:end] or "\n" in text[start:end]:
            return False
        self._collect_substitutions(text[start:end])
        self.variables.forget_calculated(text[start:end])
        self.at = end + 2
        return True

    def _is_before_redirect(self) -> bool:
        return self.at < len(self.text) and self.text[self.at] in "<>"

    def _redirect(self, command: ShellCommand, operator: str) -> None:
        if operator in ("<", ">") and self.text.startswith("(", self.at):  # a process in a file's place
            self.at += 1
            inside = self.text_until(")")
            printed = self._printed_by(inside) if inside.split()[:1] in _PRINTING else None
            command.words.append(ShellWord(PROCESS, code=printed.code if printed is not None else ""))
            self.inner.append(inside)
            return
        self._skip_blanks()
        if self.at >= len(self.text) or self.text[self.at] in "\n;&|()<>":
            return
        word = self._word()
        if operator in ("<<", "<<-"):
            self._read_here_document(command, word.text, indented=operator == "<<-")
            if not word.quoted and command.stdin_text:
                self._collect_substitutions(command.stdin_text)
        elif operator == "<<<":
            command.stdin_text = word.full_text if BRACE_OPEN not in word.text else None
            command.stdin_word = word if command.stdin_text is None else None
        elif operator == ">&":
            if not (word.text.rstrip("-").isdigit() or word.text == "-"):
                command.outputs.append(word)
        elif operator == "<":
            command.stdin_file = word
        elif operator != "<&":
            command.outputs.append(word)

    def _read_here_document(self, command: ShellCommand, end: str, *, indented: bool) -> None:
        """Read a command's here-document, which follows the line and the here-documents before it."""
        text = self.text
        if self._line_end < self.at:
            line_end = text.find("\n", self.at)
            self._line_end = len(text) if line_end < 0 else line_end
            self._documents_end = self._line_end + 1
        lines = []
        for start, line_end in self._lines(self._documents_end):
            self._documents_end = line_end + 1
            line = text[start:line_end]
            line = line.lstrip("\t") if indented else line
            if line.rstrip("\r") == end:
                break
            lines.append(line)
        command.stdin_text = "\n".join(lines)

    def _lines(self, at: int) -> Iterator[tuple[int, int]]:
        """The start and end of each line from a position on."""
        text = self.text
        while at < len(text):
            self.steps.take(1)
            stop = text.find("\n", at)
            stop = len(text) if stop < 0 else stop
            yield at, stop
            at = stop + 1

    def _collect_substitutions(self, text: str) -> None:
        """Collect the command substitutions in an unquoted here-document or an expansion."""
        if "$" not in text and "`" not in text:
            return
        reader = ShellReader(text, self.steps, self.variables)
        while reader.at < len(reader.text):
            reader.at = _match_end(_UNQUOTED_RUN, reader.text, reader.at) + 1
            sign = reader.text[reader.at - 1 : reader.at]
            self.steps.take(1)
            if sign == "\\":
                reader.at += 1
            elif sign:
                reader._expansion(ShellWord(), [], sign, quoted=True)
        self.inner += reader.inner
        self.incomplete = self.incomplete or reader.incomplete

    # -- words -------------------------------------------------------------------------------------

    def _word(self) -> ShellWord:
        word, pieces, text, start = ShellWord(), list[str](), self.text, self.at
        braces, self._word_list = 0, None
        self._inserted, self._is_code_known = [], True
        self.steps.take(_STEPS_OF_WORD)
        while self.at < len(text) and text[self.at] not in _ENDS:
            if (run := _PLAIN_RUN.match(text, self.at)) is not None:
                pieces.append(run[0])
                self.at = run.end()
                continue
            sign = text[self.at]
            self.at += 1
            self.steps.take(_STEPS_OF_SIGN)
            if sign == "'":
                end = self._find_end("'")
                self._literal(word, pieces, text[self.at : end])
                self.at = end + 1
            elif sign == '"':
                self._quoted(word, pieces)
            elif sign == "\\":
                self._literal(word, pieces, text[self.at : self.at + 1])
                self.at += 1
            elif sign in "$`":
                self._expansion(word, pieces, sign, quoted=False)
            elif sign == "{":
                braces += 1
                pieces.append(BRACE_OPEN)
            elif sign == "}" and braces:
                braces -= 1
                pieces.append(BRACE_CLOSE)
            elif sign == "," and braces:
                pieces.append(BRACE_COMMA)
            elif sign in "*?+@!" and text.startswith("(", self.at):  # as in `!(kept)`
                self.at += 1
                self._collect_substitutions(self.text_until(")"))
                word.glob = True
                pieces.append("*")
            else:
                word.glob = word.glob or sign in "*?["
                pieces.append(sign)
        word.text = "".join(pieces)
        if not word.known:
            self._add_code(word, pieces)
        if word.text.startswith(("~+", "~-")) and word.text[2:3] in ("", "/"):  # where the shell is, or was
            word.unknown_from = 0 if word.text[1] == "-" or word.unknown_from == 0 else word.unknown_from
            word.text = "./" + word.text[2:].lstrip("/")
        elif word.text.startswith("~") and word.text[1:2] in ("", "/") and self.variables.is_set("HOME"):
            word.unknown_from = 0
        if self._word_list is not None and not _EXPANSION_ALONE.fullmatch(text, start, self.at):
            self._word_list = None
        if BRACE_OPEN in word.text:
            self.steps.take(
                _STEPS_OF_FORM * min(SHELL_WORD_FORMS_MAX, 1 << min(word.text.count(BRACE_COMMA), 16))
            )
        return word

    def _add_code(self, word: ShellWord, pieces: list[str]) -> None:
        """Set the code of a word whose text is not wholly known."""
        if not self._inserted:
            word.code, word.is_code_known = word.text, self._is_code_known
            return
        parts, start = list[str](), 0
        for at, text in self._inserted:
            parts += [*pieces[start:at], text]
            start = at
        word.code = "".join([*parts, *pieces[start:]])
        word.is_code_known = self._is_code_known and BRACE_OPEN not in word.code

    def _insert_code(self, word: ShellWord, pieces: list[str], value: ShellWord | None) -> None:
        """Mark the word's text as unknown from here on, where its code holds `value`, if that is known."""
        if value is None:
            self._mark_unknown(word, pieces)
            return
        if word.unknown_from is None:
            word.unknown_from = sum(map(len, pieces))
        text = value.text if value.known else value.code
        if text and len(text) <= self._code_budget:
            self._code_budget -= len(text)
            self.steps.take(len(text) // _CODE_CHARS_PER_STEP)
            self._inserted.append((len(pieces), text))
            self._is_code_known = self._is_code_known and (value.known or value.is_code_known)
        elif text or not value.is_code_known:
            self._is_code_known = False

    def _mark_unknown(self, word: ShellWord, pieces: list[str]) -> None:
        """Mark the word's text as unknown from here on."""
        self._is_code_known = False
        if word.unknown_from is None:
            word.unknown_from = sum(map(len, pieces))

    def _literal(self, word: ShellWord, pieces: list[str], text: str) -> None:
        """Add a quoted part, in which `~` is no home folder."""
        word.quoted = True
        if text:  # so that `pieces` is empty as long as the word is
            pieces.append("./" + text if text.startswith("~") else text)

    def _quoted(self, word: ShellWord, pieces: list[str]) -> None:
        text = self.text
        word.quoted = True
        while self.at < len(text) and text[self.at] != '"':
            if (run := _QUOTED_RUN.match(text, self.at)) is not None:
                pieces.append(run[0])
                self.at = run.end()
                continue
            sign = text[self.at]
            self.at += 1
            self.steps.take(1)
            if sign == "\\" and text[self.at : self.at + 1] in ("$", "`", '"', "\\", "\n"):
                pieces.append(text[self.at])
                self.at += 1
            elif sign == "\\":
                pieces.append(sign)
            else:
                self._expansion(word, pieces, sign, quoted=True)
        self.incomplete = self.incomplete or self.at >= len(text)
        self.at += 1

    def _find_end(self, sign: str) -> int:
        """The position of the next such sign."""
        end = self.text.find(sign, self.at)
        self.incomplete = self.incomplete or end < 0
        return len(self.text) if end < 0 else end

    def _expansion(self, word: ShellWord, pieces: list[str], sign: str, *, quoted: bool) -> None:
        """Read a variable or a command's output, behind its `$` or backquote; a mere `$` is itself."""
        text = self.text
        if sign == "`":
            end = _match_end(_BACKQUOTED, text, self.at)
            self._output(word, pieces, text[self.at : end].replace("\\`", "`"))
            self.at = end + 1
        elif text.startswith("((", self.at):
            self.at += 1
            inside = self.text_until(")")
            if inside.endswith(")") and not any(sign in inside for sign in ";\n"):
                self._collect_substitutions(inside)
                self.variables.forget_calculated(inside)
                self._mark_unknown(word, pieces)
            else:  # a subshell, as in `$((rm a); ls)`
                self._output(word, pieces, inside)
        elif text.startswith("(", self.at):
            self.at += 1
            self._output(word, pieces, self.text_until(")"))
        elif text.startswith("{", self.at):
            self.at += 1
            inside = self.text_until("}")
            self._collect_substitutions(inside)
            if (default := _DEFAULT.match(inside)) is not None:
                self.variables.forget([default[1]])
            self._variable(word, pieces, inside, quoted=quoted)
        elif text.startswith("'", self.at) and not quoted:
            self._ansi(word, pieces)
        elif text.startswith('"', self.at) and not quoted:
            return  # a text to be translated: the quotation is read next
        else:
            name = _NAME.match(text, self.at)
            if name is None:
                pieces.append("$")
            else:
                self._variable(word, pieces, name[0], quoted=quoted)
                self.at = name.end()

    def _ansi(self, word: ShellWord, pieces: list[str]) -> None:
        r"""Read `$'a\tb'`, in which escapes count; a text with an escape counts as unknown."""
        self.steps.take(_STEPS_OF_EXPANSION)
        end = _match_end(_ANSI_QUOTED, self.text, self.at + 1)
        inside = self.text[self.at + 1 : end]
        if "\\" in inside:
            self._mark_unknown(word, pieces)
        self._literal(word, pieces, inside)
        self.at = end + 1

    def _variable(self, word: ShellWord, pieces: list[str], name: str, *, quoted: bool) -> None:
        self.steps.take(_STEPS_OF_EXPANSION)
        self.expanded.add(name)
        if name >= "A" and "[" not in name:  # as most are; special parameters and numbers sort before letters
            value = self.variables.get(name)
        elif (list_name := _LIST_NAME.fullmatch(name)) is not None:
            self._list(word, pieces, list_name, quoted=quoted)
            return
        else:
            is_number = name.isdecimal() and len(name) <= _PARAMETER_DIGITS_MAX
            value = self.variables.positional(int(name)) if is_number else None
        if name == "HOME" and not pieces and value is None:
            pieces.append("~")
        elif name == "PWD" and not pieces and value is None:
            pieces.append(".")
        elif name == "TMPDIR" and value is None:
            pieces.append(_TEMPORARY)
        elif value is None or not self._is_usable(value, quoted=quoted):
            self._insert_code(word, pieces, value)
            if value is not None and not quoted and len(value.text) <= self._budget:
                self._split(value)
        else:
            self._budget -= len(value.text)
            if value.text:
                is_glob = value.glob or (not quoted and not _WILDCARDS.isdisjoint(value.text))
                word.glob = word.glob or is_glob
                pieces.append(value.text)

    def _is_usable(self, value: ShellWord, *, quoted: bool) -> bool:
        """Whether a variable's value is known, one word, and within the remaining budget."""
        plain = not any(sign in value.text for sign in " \t\n") and (
            quoted or not self.variables.is_set("IFS")
        )
        return value.known and plain and len(value.text) <= self._budget

    def _split(self, value: ShellWord) -> None:
        """Keep the words of a value that is expanded without quotes."""
        if not self.variables.is_set("IFS") and (value.text or value.known):
            self._budget -= len(value.text)
            self._word_list = split_value(value, self.steps)

    def _list(self, word: ShellWord, pieces: list[str], name: re.Match[str], *, quoted: bool) -> None:
        """Read `$@`, `$*` or `${NAME[@]}`: `"$*"` is one word, the others are a word for each in the list."""
        lists = self.variables.possible_lists(name[1] or POSITIONAL)
        first = int(name[2]) if name[2] else 0
        words = merge_lists(lists or (), first if name[1] else max(first - 1, 0))
        self._budget -= sum(len(part.text) for part in words)
        self.steps.take(len(words))
        is_known = lists is not None and self._budget >= 0
        if not (quoted and "*" in name[0]):
            self._mark_unknown(word, pieces)
            self._word_list = words if is_known else None
        elif is_known and len(lists or ()) == 1 and all(part.known for part in words):
            pieces.append(" ".join(part.text for part in words))
        else:
            self._mark_unknown(word, pieces)

    def _output(self, word: ShellWord, pieces: list[str], command: str) -> None:
        self.steps.take(_STEPS_OF_EXPANSION)
        self.inner.append(command)
        words = command.split()
        is_elsewhere = self.variables.is_set("TMPDIR") or any(
            "/" in argument or argument in ("-p", "--tmpdir") for argument in words
        )
        if words[:1] == ["mktemp"] and not is_elsewhere:
            pieces.append(f"{_TEMPORARY}/mktemp")
        elif words == ["pwd"] and not pieces:
            pieces.append(".")
        else:
            printed = self._printed_by(command) if words[:1] in _PRINTING else None
            self._insert_code(word, pieces, printed)

    def _printed_by(self, command: str) -> ShellWord | None:
        """The text that a substituted `cat`, `echo` or `printf` prints, as a word's code; None if unknown.

        Those within it count as unknown, so that no text is read more than twice.
        """
        if self._is_inside_output:
            return None
        reader = ShellReader(command, self.steps, self.variables)
        reader._is_inside_output = True
        printing = reader.next_command()
        if printing is None or printing.piped or printing.outputs or reader.next_command() is not None:
            return None
        words, stdin_text = printing.words, printing.stdin_text
        call = ProgramCall(words[0].text, words[1:], stdin_text, steps=self.steps)
        text = PrintedTexts().of_call(call, WorkingFolders())
        if text is None:
            return None
        is_expanded = stdin_text is not None and _QUOTED_DOCUMENT.search(command) is None
        is_known = not (is_expanded and any(sign in text for sign in "$`\\"))
        return ShellWord("", unknown_from=0, code=text.rstrip("\n"), is_code_known=is_known)

    def text_until(self, closer: str) -> str:
        """The text up to the sign that closes the opening one just read."""
        text, start, stack = self.text, self.at, [closer]
        here_documents: list[tuple[str, bool]] = []  # of here-documents that begin behind the line
        while stack:
            match = _SIGNS[stack[-1]].search(text, self.at)
            if match is None:
                self.at = len(text)
                break
            self.steps.take(1)
            sign = match[0]
            self.at = match.end()
            if sign == "\\":
                self.at += 1
            elif sign == stack[-1]:
                stack.pop()
            elif sign == "$":
                if text[self.at : self.at + 1] in ("(", "{"):
                    stack.append(")" if text[self.at] == "(" else "}")
                    self.at += 1
            elif sign == '"':
                stack.append('"')
            elif sign == "'":
                self.at = self._find_end("'") + 1
            else:
                self._command_sign(sign, stack, here_documents)
            if len(stack) > SHELL_NESTING_MAX:
                raise ShellBoundExceeded(f"it holds parts more than {SHELL_NESTING_MAX} deep in parts")
        self.incomplete = self.incomplete or bool(stack)
        return text[start : self.at if stack else self.at - 1]

    def _command_sign(self, sign: str, stack: list[str], here_documents: list[tuple[str, bool]]) -> None:
        """Handle a sign between the words of a substituted command: a group, comment or here-document."""
        text = self.text
        if sign == "(":
            stack.append(")")
        elif sign == "#" and text[self.at - 2] in _BLANKS + "\n;&|(":
            end = text.find("\n", self.at)
            self.at = len(text) if end < 0 else end
        elif sign == "<" and text.startswith("<", self.at) and not text.startswith("<<", self.at):
            match = _HERE_END.match(text, self.at + 1)
            if match is not None:
                here_documents.append((match[2] or match[3] or match[4] or "", bool(match[1])))
                self.at = match.end()
        elif sign == "<" and text.startswith("<<", self.at):
            self.at += 2
        elif sign == "\n":
            for document, indented in here_documents:
                self._skip_here_document(document, indented=indented)
            here_documents.clear()

    def _skip_here_document(self, end: str, *, indented: bool) -> None:
        """Skip the lines of a here-document; its last may close the substitution, too: `EOF)`."""
        for start, stop in self._lines(self.at):
            line = self.text[start:stop]
            bare = line.lstrip("\t") if indented else line
            self.at = min(stop + 1, len(self.text))
            if bare.rstrip("\r") == end:
                return
            if end and bare.startswith(end + ")"):
                self.at = start + len(line) - len(bare) + len(end)
                return


def _match_end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """The end of a pattern's match at a position; the position itself without a match."""
    match = pattern.match(text, at)
    return at if match is None else match.end()
