"""Words of a shell and what their braces stand for, and the steps that reading a command may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from repomesh.kernel.limits import SHELL_STEPS_MAX, SHELL_WORD_FORMS_MAX

# Stand for `{`, `,` and `}` of an unquoted brace group; private characters, which no file's name has.
BRACE_OPEN, BRACE_COMMA, BRACE_CLOSE = "\ue0f0", "\ue0f1", "\ue0f2"


class ShellBoundExceeded(Exception):
    """A command takes more steps to read than it may; the message says which bound it is."""


class StepBudget:
    """The steps that reading one command may take, each of about a microsecond."""

    def __init__(self) -> None:
        self._left = SHELL_STEPS_MAX

    def take(self, steps: int) -> None:
        """Count steps that are about to be taken; raises ShellBoundExceeded when none are left."""
        self._left -= steps
        if self._left < 0:
            raise ShellBoundExceeded(f"it takes more than {SHELL_STEPS_MAX} steps to read")


@dataclass(slots=True)
class ShellWord:
    """One word. From `unknown_from` on its text can't be told; `glob` says that it holds wildcards."""

    text: str = ""
    glob: bool = False
    unknown_from: int | None = None
    quoted: bool = False
    _forms: list[ShellWord] | None = field(default=None, repr=False, compare=False)

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
        if BRACE_OPEN not in self.text:
            return [self]
        if self._forms is None:
            self._forms = self._made_forms()
        return self._forms

    def _made_forms(self) -> list[ShellWord]:
        texts = _expanded(self.text)
        if texts is None:
            at = self.text.index(BRACE_OPEN)
            known = at if self.unknown_from is None else min(at, self.unknown_from)
            return [ShellWord(self.text[:at], self.glob, known, self.quoted)]
        made = []
        for text in texts:
            unknown = None if self.known else _common(text, self.text)
            made.append(ShellWord(text, self.glob or "*" in text, unknown, self.quoted))
        return made


def _expanded(text: str) -> list[str] | None:
    """The texts that the brace groups stand for; None for more than SHELL_WORD_FORMS_MAX."""
    if BRACE_OPEN not in text:
        return [text]
    done, waiting, steps = list[str](), [text], 0
    while waiting:
        steps += 1
        if max(steps, len(done) + len(waiting)) > SHELL_WORD_FORMS_MAX:
            return None
        one = waiting.pop()
        end = one.find(BRACE_CLOSE)
        start = one.rfind(BRACE_OPEN, 0, end) if end >= 0 else -1
        if start < 0:
            done.append(one.replace(BRACE_OPEN, "{").replace(BRACE_COMMA, ",").replace(BRACE_CLOSE, "}"))
            continue
        inside = one[start + 1 : end]
        if BRACE_COMMA in inside:
            waiting += [one[:start] + part + one[end + 1 :] for part in reversed(inside.split(BRACE_COMMA))]
        elif ".." in inside:
            waiting.append(f"{one[:start]}*{one[end + 1 :]}")
        else:
            waiting.append(f"{one[:start]}{{{inside}}}{one[end + 1 :]}")
    return done


def _common(one: str, other: str) -> int:
    """How far two texts agree."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
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
