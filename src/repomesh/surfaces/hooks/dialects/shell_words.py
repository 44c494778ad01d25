"""Reads a shell command as words and simple commands, without running anything.

One pass from left to right: every character is looked at a bounded number of times, whatever the text is.
What a word stands for is kept as far as it can be told: what is quoted, what is a pattern, and where a part
begins that only running would tell (a variable, the output of a command).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from repomesh.kernel.limits import SHELL_CHARS_MAX, SHELL_WORD_FORMS_MAX

# Stand for `{`, `,` and `}` of an unquoted brace group; private characters, which no file's name has.
_OPEN, _COMMA, _CLOSE = "\ue0f0", "\ue0f1", "\ue0f2"
_MARKS = str.maketrans({_OPEN: "{", _COMMA: ",", _CLOSE: "}"})
_BLANKS = " \t\r"
_ENDS = _BLANKS + "\n;&|()<>"
_OPERATORS = frozenset({"&>>", "<<<", "<<-", ";;&", "&>", ">>", ">|", ">&", "<>", "<<", "<&"})
_OPERATORS |= {"&&", "||", "|&", ";;", ";&"}
_HERE_END = re.compile(r"""(-)?[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|\\?([^\s;&|<>()'"]+))""")
_ARITHMETIC_CHARS = 200  # looked at for its end; what is longer is read as commands
PROCESS = "/dev/fd/0"  # stands for a process in a file's place
_TEMPORARY = "/tmp"  # noqa: S108 - nothing is made there; it stands for a place outside of any repository


@dataclass(slots=True)
class ShellWord:
    """One word. From `unknown_from` on its text can't be told; `glob` says that it holds wildcards."""

    text: str = ""
    glob: bool = False
    unknown_from: int | None = None
    quoted: bool = False

    @property
    def known(self) -> bool:
        """Whether the whole text is."""
        return self.unknown_from is None

    def behind(self, start: int) -> ShellWord:
        """The part of it from a character on."""
        unknown = None if self.unknown_from is None else max(self.unknown_from - start, 0)
        return ShellWord(self.text[start:], self.glob, unknown, self.quoted)

    def forms(self) -> list[ShellWord]:
        """The words that its braces stand for."""
        texts = _expanded(self.text)
        if texts is None:
            at = self.text.index(_OPEN)
            known = at if self.unknown_from is None else min(at, self.unknown_from)
            return [ShellWord(self.text[:at], self.glob, known, self.quoted)]
        made = []
        for text in texts:
            unknown = None if self.known else _common(text, self.text)
            made.append(ShellWord(text, self.glob or "*" in text, unknown, self.quoted))
        return made if _OPEN in self.text else [self]


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

    def __init__(self, text: str) -> None:
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
        if self.at >= len(self.text):
            return None
        command = ShellCommand()
        while self.at < len(self.text):
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
        text = self.text
        while self.at < len(text) and text[self.at] in _BLANKS:
            self.at += 1
        if self.at < len(text) and text[self.at] == "#":
            end = text.find("\n", self.at)
            self.at = len(text) if end < 0 else end

    def _operator(self) -> str:
        text, at = self.text, self.at
        if at >= len(text) or text[at] not in "\n;&|()<>":
            return ""
        longer = (text[at : at + size] for size in (3, 2))
        operator = next((sign for sign in longer if sign in _OPERATORS), text[at])
        self.at += len(operator)
        return operator

    def _skip_arithmetic(self) -> bool:
        """Pass over `((i > 2))`, in which nothing is a redirection."""
        text, start = self.text, self.at
        end = text.find("))", start, start + _ARITHMETIC_CHARS) if text.startswith("(", start) else -1
        if end < 0 or ";" in text[start:end] or "\n" in text[start:end]:
            return False
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
        while self._behind < len(text):
            stop = text.find("\n", self._behind)
            stop = len(text) if stop < 0 else stop
            line = text[self._behind : stop]
            self._behind = stop + 1
            line = line.lstrip("\t") if indented else line
            if line.rstrip("\r") == end:
                break
            lines.append(line)
        command.fed = "\n".join(lines)

    def _substituted(self, text: str) -> None:
        """Collect the commands that are run for an unquoted here-document."""
        reader = ShellReader(text)
        while reader.at < len(reader.text):
            sign = reader.text[reader.at]
            reader.at += 1
            if sign == "\\":
                reader.at += 1
            elif sign in "$`":
                reader._expansion(ShellWord(), [], sign, quoted=True)
        self.inner += reader.inner

    # -- words -------------------------------------------------------------------------------------

    def _word(self) -> ShellWord:
        word, pieces, text = ShellWord(), list[str](), self.text
        braces = 0
        while self.at < len(text) and text[self.at] not in _ENDS:
            sign = text[self.at]
            self.at += 1
            if sign == "'":
                end = self._end_of("'")
                pieces.append(self._literal(word, text[self.at : end]))
                self.at = end + 1
            elif sign == '"':
                self._quoted(word, pieces)
            elif sign == "\\":
                pieces.append(self._literal(word, text[self.at : self.at + 1]))
                self.at += 1
            elif sign in "$`":
                self._expansion(word, pieces, sign, quoted=False)
            elif sign == "{":
                braces += 1
                pieces.append(_OPEN)
            elif sign == "}" and braces:
                braces -= 1
                pieces.append(_CLOSE)
            elif sign == "," and braces:
                pieces.append(_COMMA)
            elif sign in "*?+@!" and text.startswith("(", self.at):  # as in `!(kept)`
                self.at += 1
                self._to(")")
                word.glob = True
                pieces.append("*")
            else:
                word.glob = word.glob or sign in "*?["
                pieces.append(sign)
        word.text = "".join(pieces)
        return word

    def _literal(self, word: ShellWord, text: str) -> str:
        """A quoted part; one that begins like a home folder is none."""
        word.quoted = True
        return "./" + text if text.startswith("~") else text

    def _quoted(self, word: ShellWord, pieces: list[str]) -> None:
        text = self.text
        word.quoted = True
        while self.at < len(text) and text[self.at] != '"':
            sign = text[self.at]
            self.at += 1
            if sign == "\\" and text[self.at : self.at + 1] in ("$", "`", '"', "\\", "\n"):
                pieces.append(text[self.at])
                self.at += 1
            elif sign in "$`":
                self._expansion(word, pieces, sign, quoted=True)
            else:
                end = self.at
                while end < len(text) and text[end] not in '"\\$`':
                    end += 1
                pieces.append(sign + text[self.at : end])
                self.at = end
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
            end = self.at
            while end < len(text) and text[end] != "`":
                end += 2 if text[end] == "\\" else 1
            self._output(word, pieces, text[self.at : end].replace("\\`", "`"))
            self.at = end + 1
        elif text.startswith("((", self.at):
            self.at += 1
            self._to(")")
            pieces.append("0")
        elif text.startswith("(", self.at):
            self.at += 1
            self._output(word, pieces, self._to(")"))
        elif text.startswith("{", self.at):
            self.at += 1
            self._variable(word, pieces, self._to("}"))
        elif text.startswith("'", self.at) and not quoted:
            self._ansi(word, pieces)
        elif text.startswith('"', self.at) and not quoted:
            return  # a text to be translated: the quotation is read next
        else:
            end = self.at
            while end < len(text) and (text[end].isalnum() or text[end] == "_") and text[end].isascii():
                end += 1
            if end == self.at and text[end : end + 1] in ("@", "*", "#", "?", "!", "$", "-"):
                end += 1
            if end == self.at:
                pieces.append("$")
            else:
                self._variable(word, pieces, text[self.at : end])
            self.at = end

    def _ansi(self, word: ShellWord, pieces: list[str]) -> None:
        r"""`$'a\tb'`: a text in which escapes count; with any of them it counts as not known."""
        end = self.at + 1
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if self.text[end] == "\\" else 1
        inside = self.text[self.at + 1 : end]
        if "\\" in inside:
            _cut(word, pieces)
        pieces.append(self._literal(word, inside))
        self.at = end + 1

    def _variable(self, word: ShellWord, pieces: list[str], name: str) -> None:
        value = self.variables.get(name)
        if name == "HOME" and not any(pieces) and value is None:
            pieces.append("~")
        elif name == "PWD" and not any(pieces) and value is None:
            pieces.append(".")
        elif name == "TMPDIR" and value is None:
            pieces.append(_TEMPORARY)
        elif value is None or not self._usable(value):
            _cut(word, pieces)
        else:
            self._budget -= len(value.text)
            word.glob = word.glob or value.glob
            pieces.append(value.text)

    def _usable(self, value: ShellWord) -> bool:
        """Whether a variable's value is one word, and adds no more than there is room for."""
        plain = not any(sign in value.text for sign in " \t\n")
        return value.known and plain and len(value.text) <= self._budget

    def _output(self, word: ShellWord, pieces: list[str], command: str) -> None:
        self.inner.append(command)
        words = command.split()
        if words[:1] == ["mktemp"] and not any("/" in one or one in ("-p", "--tmpdir") for one in words):
            pieces.append(f"{_TEMPORARY}/mktemp")
        elif words == ["pwd"] and not any(pieces):
            pieces.append(".")
        else:
            _cut(word, pieces)

    def _to(self, closer: str) -> str:
        """The text up to the closing sign that belongs to the opening one just passed."""
        text, start, stack = self.text, self.at, [closer]
        ends: list[tuple[str, bool]] = []  # of here-documents that begin behind the line
        while self.at < len(text) and stack:
            sign = text[self.at]
            self.at += 1
            if sign == "\\":
                self.at += 1
            elif sign == stack[-1]:
                stack.pop()
            elif sign == "$" and text[self.at : self.at + 1] in ("(", "{"):
                stack.append(")" if text[self.at] == "(" else "}")
                self.at += 1
            elif stack[-1] == '"':
                continue
            elif sign == '"':
                stack.append('"')
            elif sign == "'":
                self.at = self._end_of("'") + 1
            elif stack[-1] == ")":
                self._command_sign(sign, stack, ends)
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
        text = self.text
        while self.at < len(text):
            stop = text.find("\n", self.at)
            stop = len(text) if stop < 0 else stop
            line = text[self.at : stop]
            bare = line.lstrip("\t") if indented else line
            if bare.rstrip("\r") == end:
                self.at = min(stop + 1, len(text))
                return
            if end and bare.startswith(end + ")"):
                self.at += len(line) - len(bare) + len(end)
                return
            self.at = min(stop + 1, len(text))
            if stop == len(text):
                return


def _cut(word: ShellWord, pieces: list[str]) -> None:
    """From here on the word's text can't be told."""
    if word.unknown_from is None:
        word.unknown_from = sum(map(len, pieces))


def _expanded(text: str) -> list[str] | None:
    """The texts that the brace groups stand for; None for more than SHELL_WORD_FORMS_MAX."""
    if _OPEN not in text:
        return [text]
    done, waiting, steps = list[str](), [text], 0
    while waiting:
        steps += 1
        if max(steps, len(done) + len(waiting)) > SHELL_WORD_FORMS_MAX:
            return None
        one = waiting.pop()
        end = one.find(_CLOSE)
        start = one.rfind(_OPEN, 0, end) if end >= 0 else -1
        if start < 0:
            done.append(one.translate(_MARKS))
            continue
        inside = one[start + 1 : end]
        if _COMMA in inside:
            waiting += [one[:start] + part + one[end + 1 :] for part in reversed(inside.split(_COMMA))]
        elif ".." in inside:
            waiting.append(f"{one[:start]}*{one[end + 1 :]}")
        else:
            waiting.append(f"{one[:start]}{{{inside}}}{one[end + 1 :]}")
    return done


def _common(one: str, other: str) -> int:
    """How far two texts agree."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)


def alternatives(words: list[ShellWord]) -> ShellWord:
    """A word that stands for any of `words`: what a loop's variable may be."""
    if any(not word.known for word in words) or len(words) > SHELL_WORD_FORMS_MAX:
        return ShellWord("", unknown_from=0)
    if len(words) == 1:
        return words[0]
    text = _OPEN + _COMMA.join(word.text for word in words) + _CLOSE
    return ShellWord(text, any(word.glob for word in words))
