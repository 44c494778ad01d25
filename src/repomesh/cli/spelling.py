"""Suggestions for mistyped words, by similar spelling."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_NEAR_MAX: Final = 3  # suggestions
_LIKENESS: Final = 0.7  # of 1: 'alcie' and 'alice' have 0.8; '--json' and '--version' 0.53
_BEGINNING_CHARS: Final = 3  # a beginning of at least this length stands for the word


def similar_words(word: str, words: Iterable[str]) -> list[str]:
    """Return up to three of `words` that begin with `word` or are spelled like it, ignoring case."""
    by_key: dict[str, str] = {}
    for candidate in words:
        by_key.setdefault(candidate.casefold(), candidate)
    key = word.casefold()
    completions = [candidate for candidate in by_key if candidate.startswith(key)]
    if len(key.lstrip("-")) < _BEGINNING_CHARS:
        completions = []
    similar = get_close_matches(key, by_key, n=_NEAR_MAX, cutoff=_LIKENESS)
    matches = dict.fromkeys([*sorted(completions, key=len), *similar])
    return [by_key[candidate] for candidate in matches][:_NEAR_MAX]


def did_you_mean(words: Iterable[str]) -> str:
    """Return the question 'Did you mean …? ' with a trailing space; empty for no words."""
    quoted = " or ".join(f"'{word}'" for word in words)
    return f"Did you mean {quoted}? " if quoted else ""
