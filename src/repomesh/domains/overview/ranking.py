"""Pure decisions of search and recall: what a text is worth for some words, and which part of it to show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from repomesh.domains.overview.stems import stem
from repomesh.kernel.limits import RECALL_HALF_LIFE_S
from repomesh.kernel.words import flatten_words, words_of, words_to_find


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """How much speaks for a text.

    The first two are those of BM25 (Robertson and Zaragoza, 2009), `pair` is what two neighbours of the
    question count where they stand near each other; these three are tuned by `python -m bench recall`, the
    usual 1.2 and 0.75 being for a search. The others count beside the words, which count 1 at most.
    """

    k1: float = 1.2
    b: float = 0.75
    pair: float = 0.0
    title: float = 0.35
    recency: float = 0.08
    type: float = 0.3
    tag: float = 0.2
    meaning: float = 0.6


SEARCH_WEIGHTS = RankingWeights()
RECALL_WEIGHTS = RankingWeights(k1=2.5, b=0.9, pair=0.5)
_NEAR_WORDS = 8  # as far as a pair may stand apart

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
    words = flatten_words(words_to_find(text))
    telling = [word for word in words if word not in STOP_WORDS]
    return (telling or words)[:most]


Hits = Sequence[tuple[int, str]]
"""(place, stem) of each word of a text that is asked for, in order."""


class StemMatcher(dict[str, str | None]):
    """Which of the stems that are asked for a word stands for; knows a word that it has met."""

    def __init__(self, stems: Collection[str]) -> None:
        super().__init__()
        self.stems = frozenset(stems)

    def __missing__(self, word: str) -> str | None:
        found = self[word] = _stem_in(word, self.stems)
        return found


def hits(words: Sequence[str], asked: StemMatcher) -> Hits:
    """Where what is asked for stands among the words of a text."""
    return [(place, one) for place, one in enumerate(map(asked.__getitem__, words)) if one is not None]


def worth(
    found: Hits, length: int, rarities: Mapping[str, float], usual: float, weights: RankingWeights
) -> float:
    """What a text of `length` words is worth for stems in the order of the question, each of its own rarity.

    `usual` is the length of most texts.
    """
    counts = Counter(one for _, one in found)
    norm = weights.k1 * (1 - weights.b + weights.b * length / max(usual, 1.0))
    plain = sum(rarities[one] * count * (weights.k1 + 1) / (count + norm) for one, count in counts.items())
    return plain + weights.pair * _pairs(found, rarities) if weights.pair else plain


def _pairs(found: Hits, rarities: Mapping[str, float]) -> float:
    """What it counts that neighbours of the question stand near each other, in their order."""
    stems = list(rarities)
    following = dict(pairwise(stems))
    nearest: dict[str, int] = {}
    last: dict[str, int] = {}
    before = {after: one for one, after in following.items()}
    for place, one in found:
        first = before.get(one)
        if first in last and (apart := place - last[first]) <= _NEAR_WORDS:
            nearest[first] = min(apart, nearest.get(first, apart))
        last[one] = place
    return sum((rarities[one] + rarities[following[one]]) / 2 / apart for one, apart in nearest.items())


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
