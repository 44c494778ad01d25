"""Pure decisions of search and recall: what a text is worth for some words, and which part of it to show."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from repomesh.domains.overview.stems import stem
from repomesh.kernel.limits import RECALL_HALF_LIFE_S, SNIPPET_CHARS
from repomesh.store.base import words_of

_TOKEN = re.compile(r"[^\W_]+")
# The usual parameters of BM25 (Robertson and Zaragoza, 2009).
_K1, _B = 1.2, 0.75

# Words that say nothing of what a question is about.
STOP_WORDS = frozenset(
    words_of(
        "a about all also am an and any are as at be been but by can could did do does for from get had "
        "has have how i if in into is it its just me my no not of on or our out please say shall she "
        "should so some such tell than that the their them then there these they this those to up us use "
        "used using was we were what when where which while who whose why will with would you your "
    )
)


def question_words(text: str, most: int) -> list[str]:
    """What a question is about: its words without those that say nothing, unless it has no others."""
    words = list(dict.fromkeys(words_of(text)))
    telling = [word for word in words if word not in STOP_WORDS]
    return (telling or words)[:most]


def bm25(words: Sequence[str], weights: Mapping[str, float], stems: Collection[str], usual: float) -> float:
    """What a text is worth for some stems, each of its own weight; `usual` is the length of most texts."""
    counts = Counter(found for word in words if (found := _stem_in(word, stems)) is not None)
    norm = _K1 * (1 - _B + _B * len(words) / max(usual, 1.0))
    return sum(weights[one] * count * (_K1 + 1) / (count + norm) for one, count in counts.items())


def held(words: Sequence[str], stems: Collection[str]) -> set[str]:
    """Which of some stems stand among some words."""
    return {found for word in words if (found := _stem_in(word, stems)) is not None}


def _stem_in(word: str, stems: Collection[str]) -> str | None:
    if word in stems:
        return word
    reduced = stem(word)
    return reduced if reduced in stems else None


def rarity(total: float, holding: float) -> float:
    """How much it says that a text holds a word which `holding` of `total` texts hold."""
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5)) if total >= holding else 0.1


def recency(age_s: float) -> float:
    """From 1 for what is new towards 0."""
    return float(0.5 ** (max(age_s, 0.0) / RECALL_HALF_LIFE_S))


def snippet(text: str, stems: Collection[str], length: int = SNIPPET_CHARS) -> str:
    """The part of a text that holds most of the words, on one line, with marks around them."""
    spots = [
        (match.start(), match.end(), hit)
        for match in _TOKEN.finditer(text)
        if (hit := _hit(match[0], stems)) is not None
    ]
    start = _best_start(spots, length)
    begin = max(0, start - length // 4)
    if begin > 0:
        begin = text.find(" ", begin, start) + 1 or begin
    end = min(len(text), begin + length)
    marked = _marked(text, [spot for spot in spots if begin <= spot[0] and spot[1] <= end], begin, end)
    line = " ".join(marked.split())
    return f"{'…' if begin > 0 else ''}{line}{'…' if end < len(text) else ''}"


def _hit(token: str, stems: Collection[str]) -> str | None:
    folded = [token.lower()] if token.isascii() else words_of(token)
    return _stem_in(folded[0], stems) if folded else None


def _best_start(spots: Sequence[tuple[int, int, str]], length: int) -> int:
    """Where the part with the most different words begins; the first of several."""
    best, best_start = 0, spots[0][0] if spots else 0
    for index, (start, _, _) in enumerate(spots):
        within = {hit for place, _, hit in spots[index : index + 50] if place < start + length * 3 // 4}
        if len(within) > best:
            best, best_start = len(within), start
    return best_start


def _marked(text: str, spots: Sequence[tuple[int, int, str]], begin: int, end: int) -> str:
    parts, last = [], begin
    for start, stop, _ in spots:
        parts += [text[last:start], "**", text[start:stop], "**"]
        last = stop
    return "".join([*parts, text[last:end]])
