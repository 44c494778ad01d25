"""The words of a text, as both engines index and find them.

The engines' own tokenizers disagree with each other and split many scripts wrongly, so that neither is used:
they store and compare the words that are found here, as they are. The rules stand in docs/search.md.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Final

from repomesh.kernel.limits import WORDS_AT_ONCE_CHARS
from repomesh.kernel.unicode_text import normalize

Word = str | tuple[str, ...]
"""A word to look for, or several of which one is enough."""

_WORD_CHARS_MAX = 100  # longer ones are found by their beginning; an index entry takes 2,000 bytes
_FOLDED_CHARS_MAX = 6  # of one character; a ligature of whole phrases has up to 18 and stays what it is
_UNBROKEN_CHARS_MAX = 10_000  # without a space behind a part's length; a script without them has commas
_UNIT_MARKS_MAX = 8  # vowel and tone signs of one letter; more are no writing
_OVERLAP_CHARS = 2 * (1 + _UNIT_MARKS_MAX)  # two letters with all their signs
_SEAM: Final = "\0"
"""Stands between the parts of one word, such as those of `parseJson`, while a text is taken apart."""

# Lower case, a space between words; the seam stays. For ASCII texts, three times as fast as the rest.
_ASCII_WORDS = _SEAM + "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(1, 128))
_ASCII_SEAM = re.compile(
    r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z][a-z])|(?<=\\[nrt])(?=[^\W_])"  # or a written line end
)
_HAS_ASCII_SEAM = re.compile(r"[a-z0-9][A-Z]|[A-Z][A-Z][a-z][a-z]|\\[nrt][^\W_]")
_ESCAPE_SEAM = re.compile(r"(?<=\\[nrt])(?=[^\W_])")
_CASE_SEAM = re.compile(r"(?<=l)(?=u)|(?<=u)(?=ull)")
_BREAK = re.compile("[\\s\u3001\u3002\uff0c\uff0e]")  # a space, or a comma or full stop of Han texts

_PAIRED: Final = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul, whose particles are glued to words
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df\uaa00-\uaa5f"  # Balinese, Javanese, Cham
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b"  # Han
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u3040-\u30ff\u31f0-\u31ff\U0001aff0-\U0001b16f"  # Hiragana, Katakana
    "\u3100-\u312f\u31a0-\u31bf"  # Bopomofo
    "\ua000-\ua4cf\U00017000-\U00018dff"  # Yi, Tangut, Khitan
)
"""Letters and signs of scripts that are written without spaces between words: ranges of a character class."""
_HAS_PAIRED = re.compile(f"[{_PAIRED}]")
_RUNS = re.compile(f"[{_PAIRED}{_SEAM}]*[{_PAIRED}]|[^{_PAIRED}]+")

# Marks of a letter that make no other word of it, by their canonical combining class: overlays, Han readings,
# nukta, the points of Hebrew, Arabic and Syriac, and all that are put above and below letters anywhere. Not
# among them are vowel signs, viramas, the tones of Thai and Lao, and the voicing of kana.
_DROPPED_CLASSES = frozenset({1, 6, 7, *range(10, 37), *range(200, 255)})
_VARIATIONS = frozenset({0x34F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)})
_TATWEEL, _ZERO_WIDTH_SPACE = "\u0640", "\u200b"


def words_of(text: str) -> list[str]:
    """The words by which a text is found, in its order: those of identifiers whole and in their parts, and of
    scripts without spaces each letter and each pair of neighbours."""
    folded = _folded(_with_seams(text))
    words = folded.split()
    if _SEAM in folded or not (folded.isascii() or _HAS_PAIRED.search(folded) is None):
        words = [word for found in words for word in _taken_apart(found)]
    if max(map(len, words), default=0) <= _WORD_CHARS_MAX:
        return words
    return [word[:_WORD_CHARS_MAX] for word in words]


def different_words(*texts: str) -> list[str]:
    """The different words of some texts, in the order in which they come first: what an index needs."""
    if len(texts) == 1 and len(texts[0]) <= WORDS_AT_ONCE_CHARS:
        return list(dict.fromkeys(words_of(texts[0])))
    found: dict[str, None] = {}
    for text in texts:
        for _, part in parts(text, WORDS_AT_ONCE_CHARS):
            found.update(dict.fromkeys(words_of(part)))
    return list(found)


def asked_words(text: str) -> list[Word]:
    """What a text must hold to be found by the words of `text`: every one of these.

    Of an identifier in parts, the whole or all parts; of a script without spaces, each pair of neighbours,
    and a letter that stands alone.
    """
    asked: dict[Word, None] = {}
    for word in _folded(_with_seams(text)).split():
        for run in _runs(word):
            asked.update(dict.fromkeys(_asked_of(run)))
    return list(asked)


def located_words(text: str, asked: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, word) of each word in a text; of scripts without spaces only of those asked for.

    The parts of an identifier stand where the whole does.
    """
    if text.isascii():
        for match in _ASCII_TOKEN.finditer(text):
            yield from _at(text, match.start(), match.end())
        return
    pieces = [_fold[ord(char)] or "" for char in text]
    folded = "".join(pieces)
    places = _Places(None if len(folded) == len(text) else list(accumulate(map(len, pieces))))
    paired = [word for word in asked if is_paired(word)]
    for match in _TOKEN.finditer(folded):
        for run in _RUNS.finditer(match[0]):
            at = match.start() + run.start()
            if not is_paired(run[0]):
                yield from _at(text, *places.of(at, at + len(run[0])))
                continue
            for start, word in sorted((start, one) for one in paired for start in _finds(run[0], one)):
                yield *places.of(at + start, at + start + len(word)), word


_ASCII_TOKEN = re.compile(r"[A-Za-z0-9]+")
_TOKEN = re.compile(r"\S+")


class _Places:
    """Where in a text stands what stands at some places of its folded form."""

    def __init__(self, ends: list[int] | None) -> None:
        self._ends = ends  # of each character of the text; None where each folded to one

    def of(self, start: int, end: int) -> tuple[int, int]:
        """Start and end in the text."""
        if self._ends is None:
            return start, end
        return bisect_right(self._ends, start), bisect_right(self._ends, end - 1) + 1


def _finds(run: str, word: str) -> Iterator[int]:
    start = run.find(word)
    while start >= 0:
        yield start
        start = run.find(word, start + 1)


def _at(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """The same of what stands between two places and is no script without spaces."""
    for word in words_of(text[start:end]):
        yield start, end, word
    if start and text[start - 1] == "\\" and text[start] in "nrt":  # behind a written line end
        for word in words_of(text[start + 1 : end]):
            yield start + 1, end, word


def parts(text: str, length: int) -> Iterator[tuple[int, str]]:
    """(start, part) of a text in parts of about `length` characters.

    A part ends at the first space behind its length. Where none follows soon, it ends in the midst, and the
    next one begins a little before: each pair of neighbours stands whole in one of them.
    """
    start = 0
    while len(text) - start > length:
        soon = start + length + _UNBROKEN_CHARS_MAX
        found = _BREAK.search(text, start + length, soon)
        end = found.end() if found is not None else soon
        if end >= len(text):
            break
        yield start, text[start:end]
        start = end if found is not None else end - _OVERLAP_CHARS
    yield start, text[start:]


def is_paired(word: str) -> bool:
    """Whether a word is of a script without spaces."""
    return _HAS_PAIRED.match(word) is not None


def flattened(asked: Iterable[Word]) -> list[str]:
    """Every word among what is asked for."""
    words = (word for one in asked for word in ((one,) if isinstance(one, str) else one))
    return list(dict.fromkeys(words))


def folded_text(text: str) -> str:
    """A text in the form in which its words are compared, with spaces instead of what is between words."""
    return _folded(text.replace(_SEAM, " "))


def _folded(text: str) -> str:
    if text.isascii():
        return text.translate(_ASCII_WORDS)
    # What is folded character by character may compose anew: a kana and its mark, the parts of a syllable.
    return normalize("NFC", text.translate(_fold))


def _with_seams(text: str) -> str:
    """The text with a seam between the parts of each identifier, and behind each written-out line end."""
    text = text.replace(_SEAM, " ") if _SEAM in text else text
    if text.isascii():
        if (text.islower() and "\\" not in text) or not _HAS_ASCII_SEAM.search(text):
            return text
        return _ASCII_SEAM.sub(_SEAM, text)
    text = normalize("NFC", text)
    if "\\" in text:
        text = _ESCAPE_SEAM.sub(_SEAM, text)
    if text == text.lower():
        return text
    cuts = [match.start() for match in _CASE_SEAM.finditer(text.translate(_cases))]
    bounds = zip([0, *cuts], [*cuts, len(text)], strict=True)
    return _SEAM.join(text[start:end] for start, end in bounds) if cuts else text


def _runs(word: str) -> list[str]:
    """A folded word in runs of scripts with and without spaces."""
    return [word] if word.isascii() else _RUNS.findall(word)


def _taken_apart(word: str) -> Iterator[str]:
    for run in _runs(word):
        if is_paired(run):
            units = _units(run)
            yield from units
            yield from map(add, units, units[1:])
        else:
            whole, found = _whole_and_parts(run)
            if whole:
                yield whole
            yield from found


def _asked_of(run: str) -> Iterator[Word]:
    if is_paired(run):
        units = _units(run)
        yield from map(add, units, units[1:]) if len(units) > 1 else units
        return
    whole, found = _whole_and_parts(run)
    if found:
        yield from ((whole, part[:_WORD_CHARS_MAX]) for part in found)
    elif whole:
        yield whole


def _whole_and_parts(run: str) -> tuple[str, list[str]]:
    """A word without its seams, cut to its limit, and its parts when it has several."""
    found = [part for part in run.split(_SEAM) if part]
    return "".join(found)[:_WORD_CHARS_MAX], found if len(found) > 1 else []


def _units(run: str) -> list[str]:
    """The letters of a run of a script without spaces, each with its vowel and tone signs."""
    run = run.replace(_SEAM, "")
    pattern = _unit_pattern()
    return pattern.findall(run) if pattern is not None and not run.isalpha() else list(run)


@lru_cache(maxsize=1)
def _unit_pattern() -> re.Pattern[str]:
    marks = "".join(
        chr(code)
        for start, end in _MARKED_RANGES
        for code in range(start, end)
        if unicodedata.category(chr(code))[0] == "M"
    )
    return re.compile(f"[^{marks}][{marks}]{{0,{_UNIT_MARKS_MAX}}}|[{marks}]{{1,{_UNIT_MARKS_MAX}}}")


_MARKED_RANGES = (
    (0x0E00, 0x10A0),
    (0x1780, 0x1AB0),
    (0x1B00, 0x1B80),
    (0x3000, 0x3100),
    (0xA980, 0xAAE0),
    (0x16FE0, 0x17000),
)


class _Fold(dict[int, str | None]):
    """What each character folds to; known once it was met."""

    def __missing__(self, code: int) -> str | None:
        found = self[code] = _SEAM if code == 0 else _fold_character(chr(code))
        return found


class _Cases(dict[int, str]):
    """u for a letter in upper case, l for one in lower case and a digit, x for the rest."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        small = char.islower() or char.isdigit()
        found = self[code] = "u" if char.isupper() or char.istitle() else "l" if small else "x"
        return found


_fold, _cases = _Fold(), _Cases()


def _fold_character(char: str) -> str:
    """What a character is compared as: decomposed, in one case, without marks that make no other word of it;
    a space for what is between words."""
    text = char
    while True:
        plain = "".join(one for one in normalize("NFKD", text) if not _is_dropped(one)).casefold()
        if plain == text:
            break
        text = plain
    composed = normalize("NFC", text)
    if len(composed) > _FOLDED_CHARS_MAX:
        return char
    return "".join(one if one.isalnum() or unicodedata.category(one)[0] == "M" else " " for one in composed)


def _is_dropped(char: str) -> bool:
    category = unicodedata.category(char)
    if category[0] == "M":
        return category == "Me" or unicodedata.combining(char) in _DROPPED_CLASSES or ord(char) in _VARIATIONS
    return char == _TATWEEL or (category == "Cf" and char != _ZERO_WIDTH_SPACE)
