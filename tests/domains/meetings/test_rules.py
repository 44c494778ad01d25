"""Whatever is done to a meeting, and whenever: it is heard in turn, it votes by its rule, and it ends.

Each history is a string of bytes, which says what is done, so that 10,000 of them take some seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repomesh.domains.meetings import flow, rules
from repomesh.domains.meetings.flow import Flow, Given, Happened, Terms
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.limits import MEETING_ASKED_MAX

HISTORIES = int(os.environ.get("REPOMESH_TEST_HISTORIES", "10000"))
START = datetime(2030, 1, 1, tzinfo=UTC)
AGENTS = tuple("abcdef")
RULES: tuple[flow.Consensus, ...] = ("unanimous", "majority", "two_thirds", "quorum")
ORDERS: tuple[flow.Order, ...] = ("given", "fixed", "random")
CHOICES: tuple[flow.Choice, ...] = ("agree", "disagree", "abstain")
KINDS: tuple[flow.OpinionKind, ...] = ("opinion", "proposal", "support", "objection")


def carried(rule: str, quorum: int | None, choices: list[str]) -> bool:
    """The rules once more, as a person would put them."""
    agree, disagree = choices.count("agree"), choices.count("disagree")
    if not agree:
        return False
    share = Fraction(agree, agree + disagree)
    enough = quorum is None or len(choices) >= quorum
    least = {"unanimous": share == 1, "two_thirds": share >= Fraction(2, 3)}
    return least.get(rule, share > Fraction(1, 2)) and enough


class Story:
    """One meeting, and all that must hold of what happens in it."""

    def __init__(self, terms: Terms, members: tuple[str, ...]) -> None:
        self.flow = Flow(terms, {one: one.upper() for one in members}, members)
        self.now = START
        self.away: set[str] = set()
        self.round = 0
        self.asked: dict[tuple[int, str], int] = {}
        self.heard: set[tuple[int, str]] = set()
        self.passed: set[tuple[int, str]] = set()
        self.votes: dict[int, dict[str, str]] = {}
        self.speaking: str | None = None
        self.outcomes: list[Happened] = []
        self.agreed: bool | None = None

    def do(self, given: Given, *, drafting: bool = False) -> bool:
        """Do one thing; False when it was refused, and then nothing may have changed."""
        caller = getattr(given, "agent_id", None)
        before = self.flow
        try:
            self.flow, happened = rules.step(before, given, self.away - {caller}, self.now, drafting=drafting)
        except RepomeshError:
            return False
        for event in happened:
            self.check(event)
        assert (self.speaking is not None) == (self.flow.speaker is not None)
        assert (self.flow.due_at is not None) == (self.flow.phase is not None)
        if self.flow.phase is not None:
            assert self.flow.due_at is not None
            assert self.flow.due_at > self.now
        return True

    def check(self, event: Happened) -> None:
        """What must hold when this happens, after all that happened before."""
        assert not self.outcomes, "nothing happens after the end"
        match event:
            case flow.Started():
                assert self.round == 0
                self.round = 1
            case flow.OpinionRequested(round=round_, agent_id=who):
                assert round_ == self.round
                assert self.speaking is None, "one speaker at a time"
                assert round_ not in self.votes, "no opinions once the vote has begun"
                assert (round_, who) not in self.heard
                self.speaking = who
                self.asked[round_, who] = self.asked.get((round_, who), 0) + 1
                assert self.asked[round_, who] <= MEETING_ASKED_MAX
            case flow.OpinionPresented(round=round_, agent_id=who):
                assert (round_, who) not in self.heard, "each turn once"
                assert self.speaking == who
                self.heard.add((round_, who))
                self.speaking = None
            case flow.TurnSkipped(agent_id=who) | flow.Left(agent_id=who):
                self.passed.add((self.round, who))
                self.speaking = None if self.speaking == who else self.speaking
            case flow.VoteRequested(round=round_, electors=electors):
                self.vote_begins(round_, electors)
            case flow.VoteCast(round=round_, agent_id=who, choice=choice):
                assert who not in self.votes[round_], "each votes once"
                self.votes[round_][who] = choice
            case flow.RoundCompleted(round=round_, agreed=agreed):
                self.round_ends(round_, agreed=agreed)
            case flow.Completed() | flow.Cancelled():
                self.outcomes.append(event)
                self.speaking = None
            case _:
                pass

    def vote_begins(self, round_: int, electors: tuple[str, ...]) -> None:
        assert self.speaking is None
        assert round_ not in self.votes
        had_a_turn = {who for heard_in, who in self.heard | self.passed if heard_in == round_}
        assert set(electors) <= had_a_turn, "votes only after all opinions"
        assert any((round_, one) in self.heard for one in AGENTS)
        self.votes[round_] = {}

    def round_ends(self, round_: int, *, agreed: bool) -> None:
        assert round_ == self.round
        terms = self.flow.terms
        choices = list(self.votes.get(round_, {}).values())
        assert agreed == carried(terms.consensus, terms.quorum, choices), "a decision only under its rule"
        self.agreed = agreed
        self.round += 1

    def end(self) -> None:
        """Let nobody do anything any more: it ends all the same."""
        if self.flow.status == "pending":
            return
        for _ in range(4 * self.flow.terms.rounds_max * (len(AGENTS) + 2)):
            if self.flow.due_at is None:
                break
            self.now = self.flow.due_at
            assert self.do(flow.Look())
        assert self.flow.status in ("completed", "cancelled"), "every meeting ends"
        assert len(self.outcomes) == 1
        if self.flow.outcome == "consensus":
            assert self.agreed
        elif self.flow.outcome == "no_consensus":
            assert not self.agreed


def terms(numbers: Iterator[int]) -> Terms:
    rule = RULES[next(numbers) % 4]
    return Terms(
        rounds_max=1 + next(numbers) % 3,
        order=ORDERS[next(numbers) % 3],
        consensus=rule,
        quorum=1 + next(numbers) % 4 if rule == "quorum" else None,
        opinion_timeout_s=10.0,
        vote_timeout_s=20.0,
        chair=(*AGENTS, None)[next(numbers) % 7],
        seed="s",
    )


def act(story: Story, number: int, detail: int) -> None:
    """One thing that is done: mostly what is asked for, often what is not."""
    who = AGENTS[detail % 6]
    asked = story.flow.awaited
    expected = asked[detail % len(asked)] if asked else who
    match number % 16:
        case 0 | 1 | 2 | 3:
            story.do(flow.Speak(expected, KINDS[detail % 4], proposes=detail % 3 == 0), drafting=detail > 127)
        case 4 | 5 | 6:
            story.do(flow.Vote(expected, CHOICES[detail % 3]))
        case 7:  # out of turn, twice, from outside
            story.do(flow.Speak(who, "opinion"))
        case 8:
            story.do(flow.Vote(who, CHOICES[detail // 6 % 3], round=detail % 4 or None))
        case 9:  # perhaps late
            story.now += timedelta(seconds=detail % 25)
            story.do(flow.Speak(expected, "opinion", round=detail % 4 or None))
        case 10:
            story.do(flow.Join(who, who.upper()))
        case 11 if detail % 2:
            story.do(flow.Leave(who))
        case 12:
            story.away ^= {who}
            story.do(flow.Look(), drafting=detail > 127)
        case 13:
            story.now += timedelta(seconds=detail % 25)
            story.do(flow.Look(), drafting=detail > 127)
        case 14:
            story.do(flow.Written(story.flow.round, failed=detail % 2 == 0))
        case 15 if detail % 16 == 0:
            story.do(flow.Cancel())
        case _:  # a restart
            kept = orjson.dumps(flow.dump(story.flow))
            assert flow.load(orjson.loads(kept)) == story.flow
            story.flow = flow.load(orjson.loads(kept))


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary(min_size=100, max_size=160))
def test_whatever_is_done_the_rules_hold(history: bytes) -> None:
    numbers = iter(history)
    story = Story(terms(numbers), AGENTS[: 1 + next(numbers) % 5])
    story.do(flow.Join("f", "F"))
    story.do(flow.Start())
    for number, detail in zip(numbers, numbers, strict=False):
        act(story, number, detail)
    story.end()


# -- single rules ----------------------------------------------------------------------------------


def begun(*members: str, **fields: Any) -> Story:
    story = Story(Terms(**fields), members)
    assert story.do(flow.Start())
    return story


def asked(story: Story) -> tuple[str, ...]:
    return story.flow.awaited


@pytest.mark.parametrize(
    ("rule", "quorum", "choices", "expected"),
    [
        ("unanimous", None, "aa", True),
        ("unanimous", None, "a-", True),  # an abstention does not stand in the way
        ("unanimous", None, "aad", False),
        ("unanimous", None, "--", False),  # somebody must agree
        ("majority", None, "aad", True),
        ("majority", None, "ad", False),
        ("majority", None, "a----", True),
        ("two_thirds", None, "aad", True),
        ("two_thirds", None, "aaadd", False),
        ("quorum", 3, "aa", False),
        ("quorum", 3, "aa-", True),  # an abstention is a vote cast
        ("quorum", 3, "ad-", False),
    ],
)
def test_when_a_proposal_is_carried(
    rule: flow.Consensus, quorum: int | None, choices: str, expected: bool
) -> None:
    words: dict[str, flow.Choice] = {"a": "agree", "d": "disagree", "-": "abstain"}
    story = begun(*AGENTS[: max(len(choices), 2)], consensus=rule, quorum=quorum, rounds_max=1)
    while story.flow.phase == "discussion":
        assert story.do(flow.Speak(asked(story)[0], "proposal", proposes=True))
    for who, choice in zip(AGENTS, choices, strict=False):
        assert story.do(flow.Vote(who, words[choice]))
    story.end()
    assert (story.flow.outcome == "consensus") == expected


def test_dissent_speaks_first_in_the_next_round() -> None:
    story = begun("a", "b", "c", consensus="unanimous")
    for who in "abc":
        story.do(flow.Speak(who, "opinion"))
    for who, choice in zip("abc", ("agree", "agree", "disagree"), strict=True):
        assert story.do(flow.Vote(who, choice))  # type: ignore[arg-type]
    assert (story.flow.round, story.flow.queue) == (2, ("c", "a", "b"))


def test_who_is_inactive_is_passed_over_at_once_and_may_come_back() -> None:
    story = begun("a", "b", "c")
    story.away = {"a", "b"}
    story.do(flow.Look())
    assert asked(story) == ("c",)
    assert story.do(flow.Join("b", "B"))
    story.away = set()
    assert story.do(flow.Speak("c", "opinion"))
    assert asked(story) == ("b",)
    with pytest.raises(RepomeshError, match="passed over"):
        rules.step(story.flow, flow.Speak("a"), (), story.now)
    assert story.do(flow.Speak("b", "opinion"))
    assert story.flow.phase == "voting"
    assert asked(story) == ("a", "b", "c"), "who was passed over may vote"


def test_when_nobody_is_there_the_deadlines_hold() -> None:
    story = begun("a", "b")
    story.away = {"a", "b"}
    story.do(flow.Look())
    assert asked(story) == ("a",)


def test_a_late_opinion_is_told_what_happened_instead() -> None:
    story = begun("a", "b")
    story.now += timedelta(seconds=300)
    with pytest.raises(RepomeshError, match="ran out") as late:
        rules.step(story.flow, flow.Speak("a"), (), story.now)
    assert late.value.details["happened"] == "no_response"
    with pytest.raises(RepomeshError, match="round 1 is on"):
        rules.step(story.flow, flow.Speak("b", round=2), (), story.now)
    with pytest.raises(RepomeshError) as early:
        rules.step(story.flow, flow.Speak("b"), (), START)
    assert (early.value.code, early.value.details["speaker"]) == ("not_your_turn", "A")


def test_the_proposal_is_the_chairs_else_the_last_unopposed_else_written() -> None:
    told: list[Happened] = []

    class Listening(Story):
        def check(self, event: Happened) -> None:
            super().check(event)
            told.append(event)

    for said, fields, expected in (
        ("ppp", {"chair": "a"}, ("chair", 1)),
        ("ppo", {}, ("unopposed", 1)),
        ("opo", {}, ("draft", None)),
        ("pps", {}, ("unopposed", 2)),
        ("---", {}, ("draft", None)),
    ):
        story = Listening(Terms(**fields), ("a", "b", "c"))
        story.do(flow.Start())
        kinds: dict[str, flow.OpinionKind] = {
            "p": "proposal",
            "o": "objection",
            "s": "support",
            "-": "opinion",
        }
        for who, kind in zip("abc", said, strict=True):
            story.do(flow.Speak(who, kinds[kind], proposes=kind == "p"))
        votes = [event for event in told if isinstance(event, flow.VoteRequested)]
        assert (votes[-1].source, votes[-1].sequence) == expected, said


def test_a_proposal_can_be_written_elsewhere_or_is_drafted_at_the_deadline() -> None:
    story = begun("a", "b")
    story.do(flow.Speak("a", "opinion"))
    story.do(flow.Speak("b", "opinion"), drafting=True)
    assert story.flow.phase == "drafting"
    drafting = story.flow
    assert rules.step(drafting, flow.Written(1), (), story.now)[0].phase == "voting"
    assert drafting.due_at is not None
    assert rules.step(drafting, flow.Look(), (), drafting.due_at)[0].phase == "voting"


def test_a_meeting_without_anybody_left_is_over() -> None:
    story = begun("a", "b")
    story.do(flow.Leave("a"))
    story.do(flow.Leave("b"))
    assert story.flow.outcome == "no_consensus"


def test_nobody_says_a_word_and_nobody_votes() -> None:
    story = begun("a", "b", rounds_max=2)
    story.end()
    assert story.votes == {}
    assert story.flow.outcome == "no_consensus"
