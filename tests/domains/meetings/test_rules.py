"""Whatever is done to a meeting, and whenever: it is heard in turn, it votes by its rule, and it ends.

Each history is a string of bytes, which says what is done, so that 10,000 of them take some seconds. Of two
dozen rules that were broken on purpose, the hardest to find took 257; `make faults` holds many more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domains.meetings.story import START, Story
from repomesh.domains.meetings import consensus, flow, rules
from repomesh.domains.meetings.flow import MeetingEffect, MeetingTerms
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.limits import MEETING_ASKED_MAX

HISTORIES = int(os.environ.get("REPOMESH_TEST_HISTORIES", "10000"))
AGENTS = tuple("abcdef")
RULES: tuple[flow.Consensus, ...] = ("unanimous", "majority", "two_thirds", "quorum")
ORDERS: tuple[flow.Order, ...] = ("given", "fixed", "random")
CHOICES: tuple[flow.Choice, ...] = ("agree", "disagree", "abstain")
KINDS: tuple[flow.OpinionKind, ...] = ("opinion", "proposal", "support", "objection")


def terms(numbers: Iterator[int]) -> MeetingTerms:
    rule = RULES[next(numbers) % 4]
    return MeetingTerms(
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
            story.do(
                flow.SpeakCommand(expected, KINDS[detail % 4], proposes=detail % 3 == 0),
                drafting=detail > 127,
            )
        case 4 | 5 | 6:
            story.do(flow.VoteCommand(expected, CHOICES[detail % 3]))
        case 7:  # out of turn, twice, from outside
            story.do(flow.SpeakCommand(who, "opinion"))
        case 8:
            story.do(flow.VoteCommand(who, CHOICES[detail // 6 % 3], round=detail % 4 or None))
        case 9:  # perhaps late
            story.now += timedelta(seconds=detail % 25)
            story.do(flow.SpeakCommand(expected, "opinion", round=detail % 4 or None))
        case 10:
            story.do(flow.JoinCommand(who, who.upper()))
        case 11 if detail % 64 == 0:
            for one in story.flow.present:
                story.do(flow.LeaveCommand(one))
        case 11 if detail % 2:
            story.do(flow.LeaveCommand(who))
        case 12 if detail % 4 == 0 and asked:  # gone when it is its turn, and back
            story.away |= {expected}
            story.do(flow.Tick())
            story.away -= {expected}
            story.do(flow.JoinCommand(expected, expected.upper()))
        case 12:
            story.away ^= {who}
            story.do(flow.Tick(), drafting=detail > 127)
        case 13 if detail % 3 == 0:  # the server was away, and comes back before anybody says a word
            story.now += timedelta(seconds=detail)
            story.do(flow.ResumeAfterAbsence(detail))
        case 13:
            story.now += timedelta(seconds=detail % 25)
            story.do(flow.Tick(), drafting=detail > 127)
        case 14:  # perhaps of a round that is over
            story.do(flow.ProposalReady(story.flow.round - (detail % 3 == 0), failed=detail % 2 == 0))
        case 15 if detail % 16 == 0:
            story.do(flow.CancelCommand())
        case 15 if detail % 16 == 1:
            story.do(flow.StartCommand())
        case _:
            story.restart()


@settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.binary(min_size=100, max_size=160))
def test_whatever_is_done_the_rules_hold(history: bytes) -> None:
    numbers = iter(history)
    story = Story(terms(numbers), AGENTS[: 1 + next(numbers) % 5])
    story.do(flow.JoinCommand("f", "F"))
    story.do(flow.StartCommand())
    after_the_end = 6
    for number, detail in zip(numbers, numbers, strict=False):
        after_the_end -= story.is_over
        if not after_the_end:
            break
        act(story, number, detail)
    story.end()


# -- single rules ----------------------------------------------------------------------------------


def begun(*members: str, **fields: Any) -> Story:
    story = Story(MeetingTerms(**fields), members)
    assert story.do(flow.StartCommand())
    return story


def asked(story: Story) -> tuple[str, ...]:
    return story.flow.awaited


@pytest.mark.parametrize(
    ("rule", "quorum", "choices", "expected"),
    [
        ("unanimous", None, "aa", True),
        ("unanimous", None, "aa-", True),  # an abstention does not stand in the way
        ("unanimous", None, "a-", False),  # nobody decides alone
        ("unanimous", None, "aad", False),
        ("unanimous", None, "--", False),  # somebody must agree
        ("majority", None, "aad", True),
        ("majority", None, "ad", False),
        ("majority", None, "a----", False),  # more than half of the quorum must agree
        ("majority", None, "aa---", True),
        ("majority", None, "aa ", True),  # who stays away does not stand in the way of two of three
        ("majority", None, "a  ", False),  # one of three decides nothing
        ("majority", None, "aa   ", False),
        ("two_thirds", None, "a-", False),
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
    members = AGENTS[: max(len(choices), quorum or 2)]
    story = begun(*members, consensus=rule, quorum=quorum, rounds_max=1)
    while story.flow.phase == "discussion":
        assert story.do(flow.SpeakCommand(asked(story)[0], "proposal", proposes=True))
    for who, choice in zip(AGENTS, choices.rstrip(), strict=False):
        assert story.do(flow.VoteCommand(who, words[choice]))
    story.end()
    assert (story.flow.outcome == "consensus") == expected


def test_dissent_speaks_first_in_the_next_round() -> None:
    story = begun("a", "b", "c", consensus="unanimous")
    for who in "abc":
        story.do(flow.SpeakCommand(who, "opinion"))
    for who, choice in zip("abc", ("agree", "agree", "disagree"), strict=True):
        assert story.do(flow.VoteCommand(who, choice))  # type: ignore[arg-type]
    assert (story.flow.round, story.flow.queue) == (2, ("c", "a", "b"))


def test_a_random_order_is_another_each_round_and_the_same_on_every_node() -> None:
    found = set()
    for round_ in range(1, 9):
        terms_ = MeetingTerms(order="random", seed="s")
        order = consensus.speaking_order(terms_, dict.fromkeys(AGENTS, ""), AGENTS, round_, ())
        again = consensus.speaking_order(terms_, dict.fromkeys(AGENTS, ""), AGENTS[::-1], round_, ())
        assert order == again
        assert sorted(order) == [*AGENTS]
        found.add(order)
    assert len(found) > 4


def test_who_is_inactive_is_passed_over_at_once_and_may_come_back() -> None:
    story = begun("a", "b", "c")
    story.away = {"a", "b"}
    story.do(flow.Tick())
    assert asked(story) == ("c",)
    assert story.do(flow.JoinCommand("b", "B"))
    story.away = set()
    assert story.do(flow.SpeakCommand("c", "opinion"))
    assert asked(story) == ("b",)
    with pytest.raises(RepomeshError, match="passed over"):
        rules.step(story.flow, flow.SpeakCommand("a"), (), story.now)
    assert story.do(flow.SpeakCommand("b", "opinion"))
    assert story.flow.phase == "voting"
    assert asked(story) == ("a", "b", "c"), "who was passed over may vote"


def test_who_goes_at_its_turn_and_comes_back_is_asked_so_often_and_no_more() -> None:
    story = begun("a", "b", rounds_max=1)
    times: Counter[str] = Counter()
    while not story.is_over:
        (who,) = asked(story)
        times[who] += 1
        assert times[who] <= MEETING_ASKED_MAX
        story.away = {who}
        story.do(flow.Tick())
        story.away = set()
        story.do(flow.JoinCommand(who, who.upper()))
    assert times == {"a": MEETING_ASKED_MAX, "b": MEETING_ASKED_MAX}


def test_when_nobody_is_there_the_deadlines_hold() -> None:
    story = begun("a", "b")
    story.away = {"a", "b"}
    story.do(flow.Tick())
    assert asked(story) == ("a",)


def test_a_late_opinion_is_told_what_happened_instead() -> None:
    story = begun("a", "b")
    story.now += timedelta(seconds=300)
    with pytest.raises(RepomeshError, match="ran out") as late:
        rules.step(story.flow, flow.SpeakCommand("a"), (), story.now)
    assert late.value.details["happened"] == "no_response"
    with pytest.raises(RepomeshError, match="round 1 is on"):
        rules.step(story.flow, flow.SpeakCommand("b", round=2), (), story.now)
    with pytest.raises(RepomeshError) as early:
        rules.step(story.flow, flow.SpeakCommand("b"), (), START)
    assert (early.value.code, early.value.details["speaker"]) == ("not_your_turn", "A")


def test_the_proposal_is_the_chairs_else_the_last_unopposed_else_written() -> None:
    told: list[MeetingEffect] = []

    class Listening(Story):
        def check(self, event: MeetingEffect) -> None:
            super().check(event)
            told.append(event)

    for said, fields, expected in (
        ("ppp", {"chair": "a"}, ("chair", 1)),
        ("ppo", {}, ("unopposed", 1)),
        ("opo", {}, ("draft", None)),
        ("pps", {}, ("unopposed", 2)),
        ("---", {}, ("draft", None)),
    ):
        story = Listening(MeetingTerms(**fields), ("a", "b", "c"))
        story.do(flow.StartCommand())
        kinds: dict[str, flow.OpinionKind] = {
            "p": "proposal",
            "o": "objection",
            "s": "support",
            "-": "opinion",
        }
        for who, kind in zip("abc", said, strict=True):
            story.do(flow.SpeakCommand(who, kinds[kind], proposes=kind == "p"))
        votes = [event for event in told if isinstance(event, flow.VoteRequested)]
        assert (votes[-1].source, votes[-1].sequence) == expected, said


def test_a_proposal_can_be_written_elsewhere_or_is_drafted_at_the_deadline() -> None:
    story = begun("a", "b")
    story.do(flow.SpeakCommand("a", "opinion"))
    story.do(flow.SpeakCommand("b", "opinion"), drafting=True)
    assert story.flow.phase == "drafting"
    drafting = story.flow
    assert rules.step(drafting, flow.ProposalReady(1), (), story.now)[0].phase == "voting"
    assert drafting.due_at is not None
    assert rules.step(drafting, flow.Tick(), (), drafting.due_at)[0].phase == "voting"


def test_a_meeting_without_anybody_left_is_over() -> None:
    story = begun("a", "b")
    story.do(flow.LeaveCommand("a"))
    story.do(flow.LeaveCommand("b"))
    assert story.flow.outcome == "no_consensus"


def test_nobody_says_a_word_and_nobody_votes() -> None:
    story = begun("a", "b", rounds_max=2)
    story.end()
    assert not any(one.voting for one in story.rounds)
    assert story.flow.outcome == "no_consensus"


def voting(*members: str, **fields: Any) -> Story:
    """A meeting that has spoken and is asked to vote."""
    story = begun(*members, **fields)
    for who in members:
        assert story.do(flow.SpeakCommand(who, "proposal", proposes=True))
    assert story.flow.phase == "voting"
    return story


def test_one_who_is_left_of_three_decides_nothing() -> None:
    story = voting("a", "b", "c", rounds_max=1)
    story.do(flow.LeaveCommand("b"))
    story.do(flow.LeaveCommand("c"))
    assert story.do(flow.VoteCommand("a", "agree"))
    assert story.flow.outcome == "no_consensus"


def test_one_who_is_left_before_the_vote_decides_nothing_either() -> None:
    story = begun("a", "b", "c", rounds_max=2)
    story.do(flow.LeaveCommand("b"))
    story.do(flow.LeaveCommand("c"))
    while not story.is_over:
        story.do(flow.SpeakCommand("a", "proposal", proposes=True))
        story.do(flow.VoteCommand("a", "agree"))
    assert story.flow.outcome == "no_consensus"


def test_the_vote_of_one_who_left_after_it_still_counts() -> None:
    story = voting("a", "b", "c", rounds_max=1)
    story.do(flow.VoteCommand("b", "agree"))
    story.do(flow.LeaveCommand("b"))
    story.do(flow.VoteCommand("a", "agree"))
    story.do(flow.LeaveCommand("c"))
    assert story.flow.outcome == "consensus"


def test_who_comes_back_during_a_vote_waits_for_the_next_round() -> None:
    story = begun("a", "b", "c")
    story.do(flow.LeaveCommand("c"))
    for who in "ab":
        story.do(flow.SpeakCommand(who, "proposal", proposes=True))
    story.do(flow.JoinCommand("c", "C"))
    with pytest.raises(RepomeshError) as refused:
        rules.step(story.flow, flow.VoteCommand("c", "agree"), (), story.now)
    assert refused.value.code == "not_voting"


def test_a_deadline_that_passed_while_the_server_was_away_moves() -> None:
    story = voting("a", "b", "c", vote_timeout_s=300.0)
    story.now += timedelta(seconds=1_000)
    story.do(flow.ResumeAfterAbsence(900.0))
    assert story.flow.due_at == START + timedelta(seconds=300 + 900)
    for who in "ab":
        assert story.do(flow.VoteCommand(who, "agree")), (
            "the time that the server was away is nobody's silence"
        )


def test_a_deadline_that_had_passed_before_stays_passed() -> None:
    story = begun("a", "b", opinion_timeout_s=10.0)
    story.now += timedelta(seconds=500)
    story.do(flow.ResumeAfterAbsence(480.0))
    assert asked(story) == ("b",)


def test_a_vote_that_was_kept_without_its_electorate_goes_on() -> None:
    kept = flow.dump(voting("a", "b").flow)
    del kept["electorate"]
    state = flow.load(kept)
    assert state.electors == ("a", "b")
    state, _ = rules.step(state, flow.VoteCommand("a", "agree"), (), START)
    state, _ = rules.step(state, flow.VoteCommand("b", "agree"), (), START)
    assert state.outcome == "consensus"
