"""Words of a shell and the expansion of their braces, and the step budget for reading a command."""

from __future__ import annotations

from dataclasses import dataclass, field

from repomesh.kernel.limits import SHELL_STEPS_MAX, SHELL_WORD_FORMS_MAX

# Stand for `{`, `,` and `}` of an unquoted brace group; private-use characters, which no file name has.
BRACE_OPEN, BRACE_COMMA, BRACE_CLOSE = "\ue0f0", "\ue0f1", "\ue0f2"


class ShellBoundExceeded(Exception):
    """A command exceeds a bound of its analysis; the message names the bound."""


class StepBudget:
    """The step budget for reading one command; a step takes about a microsecond."""

    def __init__(self) -> None:
        self._left = SHELL_STEPS_MAX

    def take(self, steps: int) -> None:
        """Use up steps before they are taken; raises ShellBoundExceeded when too few are left."""
        self._left -= steps
        if self._left < 0:
            raise ShellBoundExceeded(f"it takes more than {SHELL_STEPS_MAX} steps to read")


@dataclass(slots=True)
class ShellWord:
    """One word. From `unknown_from` on its text is unknown; `glob` is whether it holds wildcards."""

    text: str = ""
    glob: bool = False
    unknown_from: int | None = None
    quoted: bool = False
    code: str = ""
    """The text with the parts that `text` leaves out: outputs of commands, and values of variables."""
    is_code_known: bool = False
    """Whether `code` is the whole text."""
    _forms: list[ShellWord] | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether the whole text is known."""
        return self.unknown_from is None

    @property
    def full_text(self) -> str | None:
        """The whole text, as a program that reads it as code or prints it receives it; None if unknown."""
        if self.known:
            return self.text
        return self.code if self.is_code_known else None

    def suffix_from(self, start: int) -> ShellWord:
        """The part of the word from a character on."""
        unknown = None if self.unknown_from is None else max(self.unknown_from - start, 0)
        suffix = ShellWord(self.text[start:], self.glob, unknown, self.quoted)
        if self.unknown_from is not None and self.unknown_from >= start:
            suffix.code, suffix.is_code_known = self.code[start:], self.is_code_known
        return suffix

    def forms(self) -> list[ShellWord]:
        """The words that its braces stand for."""
        if BRACE_OPEN not in self.text:
            return [self]
        if self._forms is None:
            self._forms = self._build_forms()
        return self._forms

    def _build_forms(self) -> list[ShellWord]:
        texts = _expand_braces(self.text)
        if texts is None:
            brace_at = self.text.index(BRACE_OPEN)
            known_chars = brace_at if self.unknown_from is None else min(brace_at, self.unknown_from)
            return [ShellWord(self.text[:brace_at], self.glob, known_chars, self.quoted)]
        forms = []
        for text in texts:
            unknown = None if self.known else _common_prefix_length(text, self.text)
            forms.append(ShellWord(text, self.glob or "*" in text, unknown, self.quoted))
        return forms


def _expand_braces(text: str) -> list[str] | None:
    """The texts that the brace groups stand for; None for more than SHELL_WORD_FORMS_MAX."""
    if BRACE_OPEN not in text:
        return [text]
    expanded, pending, steps = list[str](), [text], 0
    while pending:
        steps += 1
        if max(steps, len(expanded) + len(pending)) > SHELL_WORD_FORMS_MAX:
            return None
        current = pending.pop()
        end = current.find(BRACE_CLOSE)
        start = current.rfind(BRACE_OPEN, 0, end) if end >= 0 else -1
        if start < 0:
            expanded.append(
                current.replace(BRACE_OPEN, "{").replace(BRACE_COMMA, ",").replace(BRACE_CLOSE, "}")
            )
            continue
        inside = current[start + 1 : end]
        if BRACE_COMMA in inside:
            pending += [
                current[:start] + part + current[end + 1 :] for part in reversed(inside.split(BRACE_COMMA))
            ]
        elif ".." in inside:
            pending.append(f"{current[:start]}*{current[end + 1 :]}")
        else:
            pending.append(f"{current[:start]}{{{inside}}}{current[end + 1 :]}")
    return expanded


def _common_prefix_length(first: str, second: str) -> int:
    """The length of the common prefix of two texts."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def alternatives(words: list[ShellWord]) -> ShellWord:
    """A word that stands for any of `words`: what a loop's variable may be."""
    if any(not word.known for word in words) or len(words) > SHELL_WORD_FORMS_MAX:
        return ShellWord("", unknown_from=0)
    if len(words) == 1:
        return words[0]
    text = BRACE_OPEN + BRACE_COMMA.join(word.text for word in words) + BRACE_CLOSE
    return ShellWord(text, any(word.glob for word in words))
