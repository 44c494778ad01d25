"""Unicode normalisation whose cost is linear in the text, whatever marks it holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final, Literal

from repomesh.kernel.limits import NORMALIZED_AT_ONCE_CHARS

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

_JAMO: Final = range(0x1100, 0x1200)
"""Parts of Korean syllables, which compose with the letter before them without being marks."""


def normalize(form: Form, text: str) -> str:
    """The text in a normalisation form.

    Normalising sorts the marks on each character in quadratic time: 240,000 marks on one letter took 20 s. So
    it is done piece by piece, each of which begins with a letter that composes with nothing before it. Where
    there is none, within more marks than any script puts on a letter, each piece is sorted by itself.
    """
    if text.isascii():
        return text
    if len(text) <= NORMALIZED_AT_ONCE_CHARS:
        return unicodedata.normalize(form, text)
    return "".join(unicodedata.normalize(form, piece) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        limit = start + NORMALIZED_AT_ONCE_CHARS
        cut = limit
        while start < cut < len(text) and _continues(text[cut]):
            cut -= 1
        end = cut if cut > start else limit
        yield text[start:end]
        start = end


def _continues(character: str) -> bool:
    """Whether a character may compose with what stands before it, or be sorted among it."""
    return unicodedata.category(character)[0] == "M" or ord(character) in _JAMO
