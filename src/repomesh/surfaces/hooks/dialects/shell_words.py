"""Reads a shell command as words and simple commands, without running anything.

One pass from left to right: every character is looked at a bounded number of times, whatever the text is. All
texts that one command leads to share a StepBudget, so that commands in commands end, too.
What a word stands for is kept as far as it can be told: what is quoted, what is a pattern, and where a part
begins that only running would tell (a variable, the output of a command).
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
from repomesh.surfaces.hooks.dialects.word_forms import (
    BRACE_CLOSE,
    BRACE_COMMA,
    BRACE_OPEN,
    ShellBoundExceeded,
    ShellWord,
    StepBudget,
)

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
_PLAIN_WORD = re.compile(rf"[ \t\r]*(?!#|~-)({_PLAIN_RUN.pattern})(?=[ \t\r\n;&|()]|\Z)")
_QUOTED_RUN = re.compile(r'[^"\\$`]+')
_BACKQUOTED = re.compile(r"(?:[^`\\]|\\.)*", re.DOTALL)
_ANSI_QUOTED = re.compile(r"(?:[^'\\]|\\.)*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_]+|[@*#?!$-]")
_SIGNS = {  # that matter within a substitution, by the sign that closes it
    ")": re.compile(r"""[\\)$"'(#<\n]"""),
    "}": re.compile(r"""[\\}$"']"""),
    '"': re.compile(r'[\\"$]'),
}
_ARITHMETIC_CHARS = 200  # looked at for its end; what is longer is read as commands
_STEPS_OF_COMMAND: Final = 4
_STEPS_OF_OPERATOR: Final = 3
_STEPS_OF_WORD: Final = 3
_STEPS_OF_SIGN: Final = 2
_STEPS_OF_EXPANSION: Final = 2
_STEPS_OF_FORM: Final = 3
PROCESS = "/dev/fd/0"  # stands for a process in a file's place
_TEMPORARY = "/tmp"  # noqa: S108 - nothing is made there; it stands for a place outside of any repository


@dataclass(slots=True)
class ShellCommand:
    """A simple command: its words, where its output goes, and the text that it is fed."""

    words: list[ShellWord] = field(default_factory=list)
    outputs: list[ShellWord] = field(default_factory=list)
    fed: str | None = None
    piped: bool = False
    ending: str = ""
    """The operator behind it."""
    opens: int = 0
    closes: int = 0


class ShellReader:
    """Reads one text. `inner` collects the texts of command substitutions, which run as commands, too."""

    def __init__(self, text: str, steps: StepBudget) -> None:
        self.steps = steps
        self.text = text.replace("\\\n", "")
        self.at = 0
        self.inner: list[str] = []
        self.torn = False
        """Whether the text ends within a quotation or a substitution, or is not understood."""
        self.variables: dict[str, ShellWord] = {}
        self._budget = SHELL_CHARS_MAX  # of characters that variables add: `A=$A$A` grows without end
        self._line_end = (
            self._behind
        ) = -1  # of the line that here-documents stand behind, and where these end

    def next_command(self) -> ShellCommand | None:
        """The next simple command, which may be without words; None at the end."""
        if self._line_end < self.at:  # no here-document begins behind the line
            self.at = _end(_LINE_ENDS, self.text, self.at)
        self.steps.take(_STEPS_OF_COMMAND)
        if self.at >= len(self.text):
            return None
        command = ShellCommand()
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
                if not (self._before_redirect() and word.text.isdigit() and not word.quoted):
                    command.words.append(word)
            elif operator[0] in "<>" or operator in ("&>", "&>>"):
                self._redirect(command, operator)
            elif operator == "(" and not command.words and self._skip_arithmetic():
                continue
            else:
                if operator == "\n" and self.at - 1 == self._line_end:
                    self.at = max(self.at, self._behind)
                command.opens += operator == "("
                command.closes += operator == ")"
                command.ending = operator
                command.piped = operator in ("|", "|&")
                if operator != "(" or command.words:
                    return command
        return command

    # -- operators ---------------------------------------------------------------------------------

    def _skip_blanks(self) -> None:
        self.at = _end(_BLANK_RUN, self.text, self.at)

    def _operator(self) -> str:
        text, at = self.text, self.at
        if at >= len(text) or text[at] not in "\n;&|()<>":
            return ""
        self.steps.take(_STEPS_OF_OPERATOR)
        operator = next((sign for size in (3, 2) if (sign := text[at : at + size]) in _OPERATORS), text[at])
        self.at += len(operator)
        return operator

    def _skip_arithmetic(self) -> bool:
        """Pass over `((i > 2))`, in which nothing is a redirection."""
        text, start = self.text, self.at
        end = text.find("))", start, start + _ARITHMETIC_CHARS) if text.startswith("(", start) else -1
        if end < 0 or ";" in text[start:end] or "\n" in text[start:end]:
            return False
        self._substituted(text[start:end])
        self.at = end + 2
        return True

    def _before_redirect(self) -> bool:
        return self.at < len(self.text) and self.text[self.at] in "<>"

    def _redirect(self, command: ShellCommand, operator: str) -> None:
        if operator in ("<", ">") and self.text.startswith("(", self.at):  # a process in a file's place
            self.at += 1
            command.words.append(ShellWord(PROCESS))
            self.inner.append(self._to(")"))
            return
        self._skip_blanks()
        if self.at >= len(self.text) or self.text[self.at] in "\n;&|()<>":
            return
        word = self._word()
        if operator in ("<<", "<<-"):
            self._feed(command, word.text, indented=operator == "<<-")
            if not word.quoted and command.fed:
                self._substituted(command.fed)
        elif operator == "<<<":
            command.fed = word.text if word.known else None
        elif operator == ">&":
            if not (word.text.rstrip("-").isdigit() or word.text == "-"):
                command.outputs.append(word)
        elif operator not in ("<", "<&"):
            command.outputs.append(word)

    def _feed(self, command: ShellCommand, end: str, *, indented: bool) -> None:
        """Give a command its here-document, which stands behind the line, and behind those before it."""
        text = self.text
        if self._line_end < self.at:
            stop = text.find("\n", self.at)
            self._line_end = len(text) if stop < 0 else stop
            self._behind = self._line_end + 1
        lines = []
        for start, stop in self._lines(self._behind):
            self._behind = stop + 1
            line = text[start:stop]
            line = line.lstrip("\t") if indented else line
            if line.rstrip("\r") == end:
                break
            lines.append(line)
        command.fed = "\n".join(lines)

    def _lines(self, at: int) -> Iterator[tuple[int, int]]:
        """Where the lines from a character on begin and end."""
        text = self.text
        while at < len(text):
            self.steps.take(1)
            stop = text.find("\n", at)
            stop = len(text) if stop < 0 else stop
            yield at, stop
            at = stop + 1

    def _substituted(self, text: str) -> None:
        """Collect the commands that are run for an unquoted here-document, or within an expansion."""
        if "$" not in text and "`" not in text:
            return
        reader = ShellReader(text, self.steps)
        while reader.at < len(reader.text):
            reader.at = _end(_UNQUOTED_RUN, reader.text, reader.at) + 1
            sign = reader.text[reader.at - 1 : reader.at]
            self.steps.take(1)
            if sign == "\\":
                reader.at += 1
            elif sign:
                reader._expansion(ShellWord(), [], sign, quoted=True)
        self.inner += reader.inner
        self.torn = self.torn or reader.torn

    # -- words -------------------------------------------------------------------------------------

    def _word(self) -> ShellWord:
        word, pieces, text = ShellWord(), list[str](), self.text
        braces = 0
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
                end = self._end_of("'")
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
                self._substituted(self._to(")"))
                word.glob = True
                pieces.append("*")
            else:
                word.glob = word.glob or sign in "*?["
                pieces.append(sign)
        word.text = "".join(pieces)
        if word.text.startswith(("~+", "~-")) and word.text[2:3] in ("", "/"):  # where the shell is, or was
            word.unknown_from = 0 if word.text[1] == "-" or word.unknown_from == 0 else word.unknown_from
            word.text = "./" + word.text[2:].lstrip("/")
        if BRACE_OPEN in word.text:
            self.steps.take(
                _STEPS_OF_FORM * min(SHELL_WORD_FORMS_MAX, 1 << min(word.text.count(BRACE_COMMA), 16))
            )
        return word

    def _literal(self, word: ShellWord, pieces: list[str], text: str) -> None:
        """A quoted part; one that begins like a home folder is none."""
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
        self.torn = self.torn or self.at >= len(text)
        self.at += 1

    def _end_of(self, sign: str) -> int:
        """Where the next such sign is."""
        end = self.text.find(sign, self.at)
        self.torn = self.torn or end < 0
        return len(self.text) if end < 0 else end

    def _expansion(self, word: ShellWord, pieces: list[str], sign: str, *, quoted: bool) -> None:
        """A variable or a command's output, at the sign behind its `$`; a mere `$` is itself."""
        text = self.text
        if sign == "`":
            end = _end(_BACKQUOTED, text, self.at)
            self._output(word, pieces, text[self.at : end].replace("\\`", "`"))
            self.at = end + 1
        elif text.startswith("((", self.at):
            self.at += 1
            inside = self._to(")")
            if inside.endswith(")") and not any(sign in inside for sign in ";\n"):
                self._substituted(inside)
                pieces.append("0")
            else:  # a subshell, as in `$((rm a); ls)`
                self._output(word, pieces, inside)
        elif text.startswith("(", self.at):
            self.at += 1
            self._output(word, pieces, self._to(")"))
        elif text.startswith("{", self.at):
            self.at += 1
            inside = self._to("}")
            self._substituted(inside)
            self._variable(word, pieces, inside)
        elif text.startswith("'", self.at) and not quoted:
            self._ansi(word, pieces)
        elif text.startswith('"', self.at) and not quoted:
            return  # a text to be translated: the quotation is read next
        else:
            name = _NAME.match(text, self.at)
            if name is None:
                pieces.append("$")
            else:
                self._variable(word, pieces, name[0])
                self.at = name.end()

    def _ansi(self, word: ShellWord, pieces: list[str]) -> None:
        r"""`$'a\tb'`: a text in which escapes count; with any of them it counts as not known."""
        self.steps.take(_STEPS_OF_EXPANSION)
        end = _end(_ANSI_QUOTED, self.text, self.at + 1)
        inside = self.text[self.at + 1 : end]
        if "\\" in inside:
            _cut(word, pieces)
        self._literal(word, pieces, inside)
        self.at = end + 1

    def _variable(self, word: ShellWord, pieces: list[str], name: str) -> None:
        self.steps.take(_STEPS_OF_EXPANSION)
        value = self.variables.get(name)
        if name == "HOME" and not pieces and value is None:
            pieces.append("~")
        elif name == "PWD" and not pieces and value is None:
            pieces.append(".")
        elif name == "TMPDIR" and value is None:
            pieces.append(_TEMPORARY)
        elif value is None or not self._usable(value):
            _cut(word, pieces)
        else:
            self._budget -= len(value.text)
            word.glob = word.glob or value.glob
            if value.text:
                pieces.append(value.text)

    def _usable(self, value: ShellWord) -> bool:
        """Whether a variable's value is one word, and adds no more than there is room for."""
        plain = not any(sign in value.text for sign in " \t\n")
        return value.known and plain and len(value.text) <= self._budget

    def _output(self, word: ShellWord, pieces: list[str], command: str) -> None:
        self.steps.take(_STEPS_OF_EXPANSION)
        self.inner.append(command)
        words = command.split()
        if words[:1] == ["mktemp"] and not any("/" in one or one in ("-p", "--tmpdir") for one in words):
            pieces.append(f"{_TEMPORARY}/mktemp")
        elif words == ["pwd"] and not pieces:
            pieces.append(".")
        else:
            _cut(word, pieces)

    def _to(self, closer: str) -> str:
        """The text up to the closing sign that belongs to the opening one just passed."""
        text, start, stack = self.text, self.at, [closer]
        ends: list[tuple[str, bool]] = []  # of here-documents that begin behind the line
        while stack:
            found = _SIGNS[stack[-1]].search(text, self.at)
            if found is None:
                self.at = len(text)
                break
            self.steps.take(1)
            sign = found[0]
            self.at = found.end()
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
                self.at = self._end_of("'") + 1
            else:
                self._command_sign(sign, stack, ends)
            if len(stack) > SHELL_NESTING_MAX:
                raise ShellBoundExceeded(f"it holds parts more than {SHELL_NESTING_MAX} deep in parts")
        self.torn = self.torn or bool(stack)
        return text[start : self.at if stack else self.at - 1]

    def _command_sign(self, sign: str, stack: list[str], ends: list[tuple[str, bool]]) -> None:
        """A sign between the words of a substituted command: a group, a comment, or a here-document."""
        text = self.text
        if sign == "(":
            stack.append(")")
        elif sign == "#" and text[self.at - 2] in _BLANKS + "\n;&|(":
            end = text.find("\n", self.at)
            self.at = len(text) if end < 0 else end
        elif sign == "<" and text.startswith("<", self.at) and not text.startswith("<<", self.at):
            found = _HERE_END.match(text, self.at + 1)
            if found is not None:
                ends.append((found[2] or found[3] or found[4] or "", bool(found[1])))
                self.at = found.end()
        elif sign == "<" and text.startswith("<<", self.at):
            self.at += 2
        elif sign == "\n":
            for document, indented in ends:
                self._pass_document(document, indented=indented)
            ends.clear()

    def _pass_document(self, end: str, *, indented: bool) -> None:
        """Pass the lines of a here-document; its last may close the substitution, too: `EOF)`."""
        for start, stop in self._lines(self.at):
            line = self.text[start:stop]
            bare = line.lstrip("\t") if indented else line
            self.at = min(stop + 1, len(self.text))
            if bare.rstrip("\r") == end:
                return
            if end and bare.startswith(end + ")"):
                self.at = start + len(line) - len(bare) + len(end)
                return


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where a pattern that fits anywhere, an empty text included, ends."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _cut(word: ShellWord, pieces: list[str]) -> None:
    """From here on the word's text can't be told."""
    if word.unknown_from is None:
        word.unknown_from = sum(map(len, pieces))
