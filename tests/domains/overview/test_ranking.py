"""What a text is worth for a question: pure decisions on words."""

from __future__ import annotations

import pytest

from repomesh.domains.overview.searching import ranking
from repomesh.domains.overview.searching.ranking import RECALL_WEIGHTS, RankingWeights, StemMatcher
from repomesh.domains.overview.searching.stems import forms, stem


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("decided", {"decide", "decides", "deciding"}),
        ("running", {"run", "runs"}),
        ("query", {"queries", "queried", "querying"}),
        ("configuration", {"configure", "configured", "configurations"}),
    ],
)
def test_a_word_is_found_by_its_other_forms(word: str, others: set[str]) -> None:
    assert forms(word)[0] == word
    assert others <= set(forms(word))
    assert {stem(form) for form in forms(word)} == {stem(word)}


def test_what_is_no_english_word_has_no_forms() -> None:
    for word in ("8787", "v2", "größe", "東京", "x" * 100):
        assert forms(word) == (word,)
    assert "portability" not in forms("port")


def worth(text: str, question: str, weights: RankingWeights = RECALL_WEIGHTS) -> float:
    words = text.split()
    rarities = {stem(word): 1.0 for word in question.split()}
    return ranking.score_text(
        ranking.find_hits(words, StemMatcher(rarities)), len(words), rarities, 4, weights
    )


def test_more_of_the_question_in_fewer_words_is_worth_more() -> None:
    assert worth("the port", "port") > worth("the port of a far away country", "port") > 0
    assert worth("server ports", "server port") > worth("server server", "server port")
    assert worth("lunch", "port") == 0


def test_neighbours_of_the_question_count_where_they_stand_together() -> None:
    near = worth("a b merge queue c d", "merge queue")
    far = worth("merge a b c d queue", "merge queue")
    assert near > far > worth("queue a b c d merge", "merge queue")
    alike = RankingWeights(pair=0.0)
    assert worth("a b merge queue", "merge queue", alike) == worth("queue a b merge", "merge queue", alike)
