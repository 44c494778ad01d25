"""Pure decisions of search and recall: the score of a text for the words that are searched."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from repomesh.domains.overview.searching.stems import stem
from repomesh.kernel.limits import RECALL_HALF_LIFE_S
from repomesh.kernel.words import flatten_words, words_of, words_to_find


@dataclass(frozen=True, slots=True)
class RankingWeights:
    """The weights of what a text is ranked by.

    `k1` and `b` are those of BM25 (Robertson and Zaragoza, 2009), with the usual 1.2 and 0.75 for a search;
    `pair` is for two neighbours in the question that stand near each other in the text. These three are tuned
    by `python -m bench recall`. The others are added to the score of the words, which is 1 at most.
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
_NEAR_WORDS = 8  # the distance at which words still count as a pair

# Words that say nothing of what a question is about.
STOP_WORDS = frozenset(
    words_of(
        "a about all also am an and any are as at be been but by can could did do does for from get had "
        "has have how i if in into is it its just me my no not of on or our out please say shall she "
        "should so some such tell than that the their them then there these they this those to up us use "
        "used using was we were what when where which while who whose why will with would you your "
    )
)


def question_words(text: str, count_max: int) -> list[str]:
    """The words of a question without stop words, unless it has no others; at most `count_max`."""
    words = flatten_words(words_to_find(text))
    telling_words = [word for word in words if word not in STOP_WORDS]
    return (telling_words or words)[:count_max]


Hits = Sequence[tuple[int, str]]
"""(place, stem) of each word of a text that is searched, in order."""


class StemMatcher(dict[str, str | None]):
    """Maps a word to the searched stem that it is a form of, or None; caches each word."""

    def __init__(self, stems: Collection[str]) -> None:
        super().__init__()
        self.stems = frozenset(stems)

    def __missing__(self, word: str) -> str | None:
        matched_stem = self[word] = _match_stem(word, self.stems)
        return matched_stem


def find_hits(words: Sequence[str], matcher: StemMatcher) -> Hits:
    """Find the words of a text that are forms of searched stems."""
    return [
        (place, matched_stem)
        for place, matched_stem in enumerate(map(matcher.__getitem__, words))
        if matched_stem is not None
    ]


def score_text(
    hits: Hits, length: int, rarities: Mapping[str, float], usual_length: float, weights: RankingWeights
) -> float:
    """Score a text of `length` words by its hits; `rarities` has the stems in the order of the question.

    `usual_length` is the mean length of the texts.
    """
    counts = Counter(hit_stem for _, hit_stem in hits)
    length_norm = weights.k1 * (1 - weights.b + weights.b * length / max(usual_length, 1.0))
    word_score = sum(
        rarities[hit_stem] * count * (weights.k1 + 1) / (count + length_norm)
        for hit_stem, count in counts.items()
    )
    return word_score + weights.pair * _score_pairs(hits, rarities) if weights.pair else word_score


def _score_pairs(hits: Hits, rarities: Mapping[str, float]) -> float:
    """Score the neighbours in the question that stand near each other in the text, in the same order."""
    stems = list(rarities)
    next_by_stem = dict(pairwise(stems))
    nearest_by_first: dict[str, int] = {}
    last_place_by_stem: dict[str, int] = {}
    previous_by_stem = {second: hit_stem for hit_stem, second in next_by_stem.items()}
    for place, hit_stem in hits:
        first = previous_by_stem.get(hit_stem)
        if first in last_place_by_stem and (distance := place - last_place_by_stem[first]) <= _NEAR_WORDS:
            nearest_by_first[first] = min(distance, nearest_by_first.get(first, distance))
        last_place_by_stem[hit_stem] = place
    return sum(
        (rarities[hit_stem] + rarities[next_by_stem[hit_stem]]) / 2 / distance
        for hit_stem, distance in nearest_by_first.items()
    )


def _match_stem(word: str, stems: Collection[str]) -> str | None:
    if word in stems:
        return word
    reduced = stem(word)
    return reduced if reduced in stems else None


def rarity(total: float, holding: float) -> float:
    """The inverse document frequency of a word that `holding` of `total` texts hold."""
    return math.log(1 + (total - holding + 0.5) / (holding + 0.5)) if total >= holding else 0.1


def recency(age_s: float) -> float:
    """A figure that falls from 1 for a new text towards 0, by half in each RECALL_HALF_LIFE_S."""
    return float(0.5 ** (max(age_s, 0.0) / RECALL_HALF_LIFE_S))
