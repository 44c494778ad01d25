"""What a mistyped word was meant to be: those near it by spelling."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_NEAR_MAX: Final = 3  # words that are offered
_LIKENESS: Final = 0.7  # of 1: 'alcie' and 'alice' have 0.8; '--json' and '--version' 0.53
_BEGINNING_CHARS: Final = 3  # a longer beginning of one word is meant to be it


def near(word: str, words: Iterable[str]) -> list[str]:
    """The few of `words` that are most like `word`, or that it begins, in any case."""
    by_key: dict[str, str] = {}
    for each in words:
        by_key.setdefault(each.casefold(), each)
    key = word.casefold()
    begun = [each for each in by_key if each.startswith(key)]
    if len(key.lstrip("-")) < _BEGINNING_CHARS:
        begun = []
    alike = get_close_matches(key, by_key, n=_NEAR_MAX, cutoff=_LIKENESS)
    found = dict.fromkeys([*sorted(begun, key=len), *alike])
    return [by_key[each] for each in found][:_NEAR_MAX]


def meant(words: Iterable[str]) -> str:
    """A question whether these were meant, with a space behind it; nothing for none."""
    named = " or ".join(f"'{word}'" for word in words)
    return f"Did you mean {named}? " if named else ""
