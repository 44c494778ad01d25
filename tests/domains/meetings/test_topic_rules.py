"""What is suggested from plain signals: how good it is on labelled traffic, and the rules one by one."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

import topic_traffic
from repomesh.domains.meetings.topics.groups import group_signals
from repomesh.domains.meetings.topics.rules import Suggestion, suggest
from repomesh.domains.meetings.topics.signals import (
    MACHINE_MESSAGES_MIN,
    PastMeeting,
    TopicSignal,
    mark_machine_signals,
    signals_without_meeting,
)
from repomesh.domains.meetings.topics.stance import opposes, read_talk, settles
from repomesh.domains.meetings.topics.words import read_words
from repomesh.kernel.limits import LABEL_CHARS_MAX
from repomesh.kernel.settings import Settings, TopicWeights
from topic_traffic import NOW, WINDOW

HELD_OUT = topic_traffic.scenarios(held_out=True)


def said(by: str, text: str, *, ago_min: float, key: str = "thread/1", **further: object) -> TopicSignal:
    at = NOW - timedelta(minutes=ago_min)
    fields = {"id": f"{by}-{ago_min}", "source": "message", "subject": "Retries", "place": "#dev"} | further
    return TopicSignal(at=at, by=by, text=text, key=key, alone=False, **fields)  # type: ignore[arg-type]


DISPUTE = [
    said("ann", "I made the client retry every capture five times.", ago_min=60),
    said(
        "ben",
        "A time-out does not mean that the charge failed, I'd rather never retry a capture.",
        ago_min=50,
    ),
    said("ann", "It sends the same key each time, so I don't see what could go wrong with it.", ago_min=40),
    said("ben", "The key is kept for a day only, so I still think that this is wrong.", ago_min=30),
]


def suggested(
    signals: list[TopicSignal], weights: TopicWeights | None = None, limit: int = 10
) -> list[Suggestion]:
    return suggest(signals, weights or TopicWeights(), NOW, WINDOW, limit)


def test_there_is_a_labelled_set_of_some_size() -> None:
    every = [*HELD_OUT, *topic_traffic.scenarios(held_out=False)]
    assert sum(len(one.signals) for one in every) >= 700
    assert sum(len({*one.about.values()}) for one in every) >= 60
    assert all(len(one.about) < len(one.signals) for one in every)


@pytest.mark.parametrize("part", ["held-out half", "unseen"])
def test_it_finds_more_than_plain_frequency(capsys: pytest.CaptureFixture[str], part: str) -> None:
    scenarios = HELD_OUT if part == "held-out half" else topic_traffic.unseen()
    ours = topic_traffic.quality(topic_traffic.ours, scenarios)
    plain = [
        topic_traffic.quality(method, scenarios)
        for method in (topic_traffic.frequent_threads, topic_traffic.frequent_terms)
    ]
    with capsys.disabled():
        print(f"\n{part}: precision@5 {ours.precision_at_5:.2f}, recall {ours.recall:.2f};", end=" ")
        print("frequency: " + ", ".join(f"{one.precision_at_5:.2f} and {one.recall:.2f}" for one in plain))
    page = (Path(__file__).parents[3] / "docs/meetings-topics.md").read_text()
    for one in (ours, *plain):
        assert f"{one.precision_at_5:.2f} | {one.recall:.2f} |" in page
    assert ours.precision_at_5 > max(one.precision_at_5 for one in plain)
    assert ours.recall > max(one.recall for one in plain)


def test_the_same_signals_give_the_same_topics_in_whatever_order_they_come() -> None:
    scenario = HELD_OUT[0]
    first = suggested(list(scenario.signals))
    shuffled = list(scenario.signals)
    random.Random(7).shuffle(shuffled)
    assert suggested(shuffled) == first == suggested(list(scenario.signals))


def test_a_dispute_ranks_by_what_weighs() -> None:
    blocker = said("cid", "The key expires tomorrow.", ago_min=5, key="event/2", source="blocker", subject="")
    lively = suggested([*DISPUTE, blocker], TopicWeights(delay=0))
    pressing = suggested([*DISPUTE, blocker], TopicWeights(conflict=0, frequency=0, people=0, recency=0))
    assert lively[0].topic.startswith("Retries")
    assert pressing[0].topic.startswith("The key expires")
    assert suggested([*DISPUTE, blocker], limit=1) == [suggested([*DISPUTE, blocker])[0]]


def test_only_shares_of_weights_matter_and_some_weight_must_count() -> None:
    twice = {name: 2 * value for name, value in TopicWeights().model_dump().items()}
    assert suggested(DISPUTE, TopicWeights(**twice)) == suggested(DISPUTE)
    with pytest.raises(ValidationError):
        TopicWeights(**dict.fromkeys(twice, 0.0))
    with pytest.raises(ValidationError):
        TopicWeights(frequency=-1)


def test_weights_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOMESH_TOPIC_WEIGHTS", '{"delay": 7}')
    assert Settings().topic_weights == TopicWeights(delay=7)


def test_an_agreement_takes_most_of_the_priority_until_somebody_reopens_it() -> None:
    (open_,) = suggested(DISPUTE)
    agreed = [*DISPUTE, said("ann", "Fair enough, agreed: no retries of captures.", ago_min=20)]
    assert suggested(agreed)[0].priority < open_.priority / 2
    reopened = [*agreed, said("ben", "But what about the merchants on the old version?", ago_min=10)]
    assert suggested(reopened)[0].priority > open_.priority / 2


def test_a_wait_and_a_failure_alone_are_no_topic_and_repeated_ones_are() -> None:
    waits = [
        said(
            name,
            "rounding",
            ago_min=ago,
            key="lock/a.py",
            source="conflict",
            resource="a.py",
            subject="",
            others=("dan",),
        )
        for name, ago in (("ann", 30), ("ben", 20), ("ann", 10))
    ]
    assert suggested(waits[:1]) == []
    (topic,) = suggested(waits)
    assert "a.py" in topic.topic
    assert topic.people == ("ann", "ben", "dan")


def test_machines_are_known_by_repeating_themselves() -> None:
    notices = [
        said("ci", f"build {number} failed on main", ago_min=number, key=f"thread/{number}")
        for number in range(MACHINE_MESSAGES_MIN)
    ]
    assert all(one.machine for one in mark_machine_signals(notices))
    assert not any(one.machine for one in mark_machine_signals(notices[1:]))
    talkative = [replace(one, by="ben") for one in notices]
    marked = [one.text for one in mark_machine_signals([*DISPUTE, *talkative]) if one.machine]
    assert marked == [one.text for one in notices]
    assert not any(one.machine for one in mark_machine_signals(DISPUTE))
    assert suggested(notices) == []


@pytest.mark.parametrize(
    ("text", "against", "closing"),
    [
        ("I disagree with that.", True, False),
        ("No.", True, False),
        ("Nothing was done about the nodes", False, False),
        ("I'd rather keep the old one", True, False),
        ("Agreed, let us do that", False, True),
        ("done", False, True),
        ("It can be done, one way or the other, by the end of the week", False, False),
        ("I don't agree that it is settled", True, False),
        ("agreed?", False, False),
        ("👍", False, True),
    ],
)
def test_stance_is_read_from_plain_words(text: str, *, against: bool, closing: bool) -> None:
    assert (opposes(text), settles(text)) == (against, closing)


def test_a_question_is_open_until_somebody_else_speaks() -> None:
    asked = [said("ann", "Who owns the quota?", ago_min=30), said("ann", "Anybody?", ago_min=20)]
    talk = read_talk(asked)
    assert talk.unanswered == asked[1]
    assert read_talk([*asked, said("ben", "We do.", ago_min=10)]).unanswered is None
    assert read_talk([replace(asked[0], settled=True)]).unanswered is None


def test_what_was_met_about_counts_only_as_far_as_it_goes_on() -> None:
    linked = [replace(one, message_id=one.id) for one in DISPUTE]
    later = said("ann", "It happened again.", ago_min=1)
    task = said("cid", "no", ago_min=30, key="task/7", source="failure", task_id="7")
    meeting = PastMeeting(NOW - timedelta(minutes=5), [linked[1].id], ["7"], thread_id="9")
    own = said("ben", "My opinion is no.", ago_min=2, key="thread/9")
    assert signals_without_meeting([*linked, later, task, own], [meeting]) == [later]
    assert signals_without_meeting([*linked, task], []) == [*linked, task]


def test_titles_are_one_line_that_a_meeting_takes() -> None:
    for odd in ("why\n" * 300, "w" * 1_000, "\x1b[31mred \u202etfel "):
        for subject in ("", odd):
            long = [replace(one, subject=subject, text=f"{odd}? {one.text}") for one in DISPUTE]
            (topic,) = suggested(long)
            assert 0 < len(topic.topic) <= LABEL_CHARS_MAX
            assert topic.topic.isprintable()


@pytest.mark.parametrize(
    "mark",
    [
        "2026-11-29T09:22:37.123Z",
        "2026-11-29 09:22:37",
        "2026-11-29",
        "09:22:37Z",
        "01a22679-5dd2-7b70-8d2f-608a3f435977",
        "8d1ad3c",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_no_title_holds_times_or_ids(mark: str) -> None:
    for subject in ("", f"{mark}: Retries", f"Retries ({mark})", mark):
        marked = [replace(one, subject=subject, text=f"[{mark}] {one.text}") for one in DISPUTE]
        (topic,) = suggested(marked)
        pieces = set(re.findall(r"\w+", mark.lower()))
        assert not pieces & set(re.findall(r"\w+", topic.topic.lower())), topic.topic
        assert re.search(r"[a-z]{3}", topic.topic), topic.topic
        assert "()" not in topic.topic
        assert "[]" not in topic.topic


@pytest.mark.parametrize("text", ["", "!?", "the of and", "x" * 1_000, "日本語の文章です。"])
def test_texts_without_words_do_no_harm(text: str) -> None:
    odd = [said("ann", text, ago_min=number, key=f"thread/{number}", subject="") for number in range(1, 4)]
    assert len(group_signals(odd)) >= 1
    assert [one.topic for one in suggested([*odd, *DISPUTE])]


def test_no_signal_gives_no_topic() -> None:
    assert suggested([]) == []


def test_a_heap_that_is_too_large_is_cut_where_it_is_loosest() -> None:
    texts = [
        f"{kind} {word}"
        for kind in ("alpha beta gamma", "delta epsilon zeta")
        for word in ("one", "six", "ten")
    ]
    words = read_words(texts, 0.5)
    likeness = words.likeness(0.01) + words.pair_matrix(6, [(2, 3, 0.2)])
    cut = list(words.clusters(likeness, 0.15, 3))
    assert (
        sorted(map(sorted, cut))
        == [[0, 1, 2], [3, 4, 5]]
        == sorted(map(sorted, words.clusters(likeness, 0.15, 9)))
    )
    same = read_words(["the very same words"] * 30, 0.5)
    parts = list(same.clusters(same.likeness(0.01), 0.15, 10))
    assert max(map(len, parts)) <= 10
    assert sorted(index for part in parts for index in part) == list(range(30))
