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
    folded = _fold_text(_insert_seams(text))
    words = folded.split()
    if _SEAM in folded or not (folded.isascii() or _HAS_PAIRED.search(folded) is None):
        words = [word for token in words for word in _split_word(token)]
    if max(map(len, words), default=0) <= _WORD_CHARS_MAX:
        return words
    return [word[:_WORD_CHARS_MAX] for word in words]


def distinct_words(*texts: str) -> list[str]:
    """The different words of some texts, in the order in which they come first: what an index needs."""
    if len(texts) == 1 and len(texts[0]) <= WORDS_AT_ONCE_CHARS:
        return list(dict.fromkeys(words_of(texts[0])))
    words: dict[str, None] = {}
    for text in texts:
        for _, part in parts(text, WORDS_AT_ONCE_CHARS):
            words.update(dict.fromkeys(words_of(part)))
    return list(words)


def words_to_find(text: str) -> list[Word]:
    """The words that a text must all hold to match the search text `text`.

    Of an identifier in parts, the whole or all parts; of a script without spaces, each pair of neighbours,
    and a letter that stands alone.
    """
    words: dict[Word, None] = {}
    for word in _fold_text(_insert_seams(text)).split():
        for run in _split_runs(word):
            words.update(dict.fromkeys(_query_run(run)))
    return list(words)


def locate_words(text: str, search_words: Collection[str]) -> Iterator[tuple[int, int, str]]:
    """(start, end, word) of each word in a text; of scripts without spaces only of those asked for.

    The parts of an identifier stand where the whole does.
    """
    if text.isascii():
        for match in _ASCII_TOKEN.finditer(text):
            yield from _locate_plain_words(text, match.start(), match.end())
        return
    pieces = [_fold[ord(char)] or "" for char in text]
    folded = "".join(pieces)
    places = _OffsetMap(None if len(folded) == len(text) else list(accumulate(map(len, pieces))))
    paired = [word for word in search_words if is_paired(word)]
    for match in _TOKEN.finditer(folded):
        for run in _RUNS.finditer(match[0]):
            run_start = match.start() + run.start()
            if not is_paired(run[0]):
                yield from _locate_plain_words(text, *places.of(run_start, run_start + len(run[0])))
                continue
            for start, word in sorted(
                (start, search_word) for search_word in paired for start in _find_all(run[0], search_word)
            ):
                yield *places.of(run_start + start, run_start + start + len(word)), word


_ASCII_TOKEN = re.compile(r"[A-Za-z0-9]+")
_TOKEN = re.compile(r"\S+")


class _OffsetMap:
    """Maps offsets in a text's folded form to offsets in the text."""

    def __init__(self, ends: list[int] | None) -> None:
        self._ends = ends  # of each character of the text; None where each folded to one

    def of(self, start: int, end: int) -> tuple[int, int]:
        """Start and end in the text."""
        if self._ends is None:
            return start, end
        return bisect_right(self._ends, start), bisect_right(self._ends, end - 1) + 1


def _find_all(run: str, word: str) -> Iterator[int]:
    start = run.find(word)
    while start >= 0:
        yield start
        start = run.find(word, start + 1)


def _locate_plain_words(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """(start, end, word) of the words between two offsets, of a script with spaces."""
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
        space = _BREAK.search(text, start + length, soon)
        end = space.end() if space is not None else soon
        if end >= len(text):
            break
        yield start, text[start:end]
        start = end if space is not None else end - _OVERLAP_CHARS
    yield start, text[start:]


def is_paired(word: str) -> bool:
    """Whether a word is of a script without spaces."""
    return _HAS_PAIRED.match(word) is not None


def flatten_words(query_words: Iterable[Word]) -> list[str]:
    """The different single words of a query, alternatives included."""
    words = (word for choice in query_words for word in ((choice,) if isinstance(choice, str) else choice))
    return list(dict.fromkeys(words))


def folded_text(text: str) -> str:
    """A text in the form in which its words are compared, with spaces instead of what is between words."""
    return _fold_text(text.replace(_SEAM, " "))


def _fold_text(text: str) -> str:
    if text.isascii():
        return text.translate(_ASCII_WORDS)
    # What is folded character by character may compose anew: a kana and its mark, the parts of a syllable.
    return normalize("NFC", text.translate(_fold))


def _insert_seams(text: str) -> str:
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


def _split_runs(word: str) -> list[str]:
    """A folded word in runs of scripts with and without spaces."""
    return [word] if word.isascii() else _RUNS.findall(word)


def _split_word(word: str) -> Iterator[str]:
    for run in _split_runs(word):
        if is_paired(run):
            units = _split_units(run)
            yield from units
            yield from map(add, units, units[1:])
        else:
            whole, word_parts = _whole_and_parts(run)
            if whole:
                yield whole
            yield from word_parts


def _query_run(run: str) -> Iterator[Word]:
    if is_paired(run):
        units = _split_units(run)
        yield from map(add, units, units[1:]) if len(units) > 1 else units
        return
    whole, word_parts = _whole_and_parts(run)
    if word_parts:
        yield from ((whole, part[:_WORD_CHARS_MAX]) for part in word_parts)
    elif whole:
        yield whole


def _whole_and_parts(run: str) -> tuple[str, list[str]]:
    """A word without its seams, cut to its limit, and its parts when it has several."""
    word_parts = [part for part in run.split(_SEAM) if part]
    return "".join(word_parts)[:_WORD_CHARS_MAX], word_parts if len(word_parts) > 1 else []


def _split_units(run: str) -> list[str]:
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
    """What each character folds to, computed at its first use."""

    def __missing__(self, code: int) -> str | None:
        folded = self[code] = _SEAM if code == 0 else _fold_character(chr(code))
        return folded


class _Cases(dict[int, str]):
    """u for a letter in upper case, l for one in lower case and a digit, x for the rest."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        is_small = char.islower() or char.isdigit()
        letter_case = self[code] = "u" if char.isupper() or char.istitle() else "l" if is_small else "x"
        return letter_case


_fold, _cases = _Fold(), _Cases()


def _fold_character(char: str) -> str:
    """What a character is compared as: decomposed, in one case, without marks that make no other word of it;
    a space for what is between words."""
    text = char
    while True:
        plain = "".join(letter for letter in normalize("NFKD", text) if not _is_dropped(letter)).casefold()
        if plain == text:
            break
        text = plain
    composed = normalize("NFC", text)
    if len(composed) > _FOLDED_CHARS_MAX:
        return char
    return "".join(
        letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in composed
    )


def _is_dropped(char: str) -> bool:
    category = unicodedata.category(char)
    if category[0] == "M":
        return category == "Me" or unicodedata.combining(char) in _DROPPED_CLASSES or ord(char) in _VARIATIONS
    return char == _TATWEEL or (category == "Cf" and char != _ZERO_WIDTH_SPACE)
