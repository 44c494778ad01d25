"""The different words of a long text in little memory: a list of them takes thirty times the text's size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from repomesh.kernel.limits import WORD_GROUPS, WORDS_AT_ONCE_CHARS, WORDS_GROUPED_CHARS
from repomesh.kernel.words import parts, words_of


@dataclass(frozen=True, slots=True)
class CompactWords:
    """Different words, joined by spaces in a few groups; a word's hash says in which.

    Each group begins and ends with a space. `further` are words that need not differ from them.
    """

    groups: tuple[str, ...]
    count: int
    further: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.count + len(self.further)

    def __iter__(self) -> Iterator[str]:
        yield from self.further
        for group in self.groups:
            yield from group.split()

    def behind(self, further: Iterable[str]) -> CompactWords:
        """A copy with `further` words added in front."""
        return replace(self, further=(*further, *self.further))

    def joined(self) -> str:
        """Every word once, with spaces between them."""
        new_words = [word for word in dict.fromkeys(self.further) if not self._contains(word)]
        return "".join((" ".join(new_words), *(group[:-1] for group in self.groups))).lstrip()

    def _contains(self, word: str) -> bool:
        return f" {word} " in self.groups[hash(word) % len(self.groups)]


def compact_words(text: str) -> CompactWords:
    """The different words of a text; of a long one not in the order of the text."""
    groups: list[list[str]] = [[] for _ in range(WORD_GROUPS if len(text) > WORDS_GROUPED_CHARS else 1)]
    for _, part in parts(text, WORDS_AT_ONCE_CHARS):
        for group, words in zip(groups, _group_words(words_of(part), len(groups)), strict=True):
            group.append(" ".join(words))
    joined: list[str] = []
    count = 0
    for group in groups:
        different = dict.fromkeys(" ".join(group).split())
        group.clear()
        count += len(different)
        joined.append(f" {' '.join(different)} " if different else " ")
    return CompactWords(tuple(joined), count)


def _group_words(words: Iterable[str], groups: int) -> list[list[str]]:
    """Different words, by the group of each."""
    grouped: list[list[str]] = [[] for _ in range(groups)]
    for word in dict.fromkeys(words):
        grouped[hash(word) % groups].append(word)
    return grouped
