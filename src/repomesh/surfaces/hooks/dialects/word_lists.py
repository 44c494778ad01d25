"""The lists of words that a shell's arrays and positional parameters may hold.

A list that may have been assigned adds a possible one. The words of all possible lists count where one of
them is expanded, in a command's name and in its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from repomesh.kernel.limits import SHELL_WORD_FORMS_MAX
from repomesh.surfaces.hooks.dialects.word_forms import ShellWord, StepBudget, alternatives

POSITIONAL: Final = "@"
"""The name of the positional parameters among the lists."""
_STEPS_OF_WORD: Final = 2
_CHARS_PER_STEP: Final = 8
_WILDCARDS: Final = frozenset("*?[")

WordList = tuple[ShellWord, ...]


class WordLists:
    """Tracks all lists that each name may stand for; None for a list that is unknown."""

    def __init__(
        self, steps: StepBudget, lists: dict[str, tuple[WordList, ...] | None] | None = None
    ) -> None:
        self._steps = steps
        self._lists: dict[str, tuple[WordList, ...] | None] = lists if lists is not None else {}

    def __contains__(self, name: str) -> bool:
        return name in self._lists

    def copy(self) -> WordLists:
        """The same lists, for a subshell."""
        self._steps.take(len(self._lists))
        return WordLists(self._steps, dict(self._lists))

    def get(self, name: str) -> tuple[WordList, ...] | None:
        """The possible lists of a name; None if they are unknown."""
        return self._lists.get(name)

    def assign(self, name: str, words: Iterable[ShellWord], *, doubtful: bool = False) -> None:
        """Set a list; `doubtful` if that may not happen."""
        words = tuple(words)
        self._steps.take(_STEPS_OF_WORD * len(words))
        self._put(name, (words,), doubtful=doubtful)

    def append(self, name: str, words: Iterable[ShellWord], *, doubtful: bool = False) -> None:
        """`NAME+=(words)`."""
        words = tuple(words)
        before = self._lists.get(name, ((),))
        if before is not None:
            self._steps.take(_STEPS_OF_WORD * sum(len(known) + len(words) for known in before))
            self._put(name, tuple(known + words for known in before), doubtful=doubtful)

    def shift(self, count: int | None, *, doubtful: bool, repeated: bool) -> None:
        """Remove the first positional parameters: `count` of them, None for an unknown number.

        With `repeated` it may happen any number of times.
        """
        before = self._lists.get(POSITIONAL)
        if before is None:
            return
        if count is None or repeated:
            counts: Iterable[int] = range(max(map(len, before), default=0) + 1)
        else:
            counts = (0, count) if doubtful else (count,)
        shifted = [known[number:] for number in counts for known in before]
        self._steps.take(_STEPS_OF_WORD * sum(map(len, shifted)))
        self._put(POSITIONAL, tuple(shifted), doubtful=False)

    def forget(self, name: str) -> None:
        """Make a list unknown, if it was set."""
        if name in self._lists:
            self._lists[name] = None

    def positional(self, number: int) -> ShellWord | None:
        """The positional parameter of a number, with a form for each possible one; None if unknown."""
        lists = self._lists.get(POSITIONAL)
        if lists is None or number < 1:
            return None
        self._steps.take(_STEPS_OF_WORD * len(lists))
        words = [words[number - 1] if number <= len(words) else ShellWord("", quoted=True) for words in lists]
        return alternatives(_distinct(words))

    def _put(self, name: str, lists: tuple[WordList, ...], *, doubtful: bool) -> None:
        before = self._lists.get(name, ()) if doubtful else ()
        if before is None:
            return
        distinct: list[WordList] = []
        for words in (*before, *lists):
            self._steps.take(len(distinct))
            if words not in distinct:
                distinct.append(words)
        self._lists[name] = tuple(distinct) if len(distinct) <= SHELL_WORD_FORMS_MAX else None


def merge_lists(lists: Iterable[WordList], start: int = 0) -> list[ShellWord]:
    """The words of several possible lists, from their word `start` on, as one list.

    Its first word stands for the first of each, and the others follow.
    """
    lists = [words[start:] for words in lists]
    firsts = _distinct([words[0] for words in lists if words])
    return [alternatives(firsts), *(word for words in lists for word in words[1:])] if firsts else []


def split_value(value: ShellWord, steps: StepBudget) -> list[ShellWord]:
    """The words of a variable's value that is expanded without quotes."""
    steps.take(len(value.text) // _CHARS_PER_STEP)
    return merge_lists([tuple(_split(form, steps)) for form in value.forms()])


def _split(value: ShellWord, steps: StepBudget) -> list[ShellWord]:
    known_text = value.text[: value.unknown_from]
    texts = known_text.split()
    steps.take(_STEPS_OF_WORD * len(texts))
    words = [ShellWord(text, not _WILDCARDS.isdisjoint(text)) for text in texts]
    if not value.known:
        ends_word = known_text[-1:].isspace() or not words
        last = ShellWord("") if ends_word else words.pop()
        words.append(ShellWord(last.text, last.glob, len(last.text)))
    return words


def _distinct(words: list[ShellWord]) -> list[ShellWord]:
    return list({(word.text, word.glob, word.unknown_from): word for word in words}.values())
