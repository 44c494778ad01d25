"""One meeting as a story: what is done to it, and all that must hold of what happens in it.

It keeps its own account of who owes an opinion, what was put to the vote and how it was voted, by what it
did and was told, and never by what the rules keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import orjson

from repomesh.domains.meetings import flow, rules
from repomesh.domains.meetings.flow import MeetingCommand, MeetingEffect, MeetingState, MeetingTerms
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.limits import MEETING_ASKED_MAX, MEETING_PARTICIPANTS_MIN

START = datetime(2030, 1, 1, tzinfo=UTC)


def carried(rule: str, quorum: int | None, choices: list[str], electors: int) -> bool:
    """The rules once more, as a person would put them."""
    agree, disagree = choices.count("agree"), choices.count("disagree")
    if not agree:
        return False
    share = Fraction(agree, agree + disagree)
    if quorum is None:  # more than half of those who were in, and nobody decides alone
        quorum = max(2, 1 + electors // 2)
    enough = len(choices) >= quorum and Fraction(agree, quorum) > Fraction(1, 2)
    least = {"unanimous": share == 1, "two_thirds": share >= Fraction(2, 3)}
    return least.get(rule, share > Fraction(1, 2)) and enough


@dataclass
class Said:
    """One opinion."""

    sequence: int
    who: str
    kind: str
    proposes: bool


@dataclass
class Round:
    """What happened in one round. `members` speak in this `order`; those who came in or back are `late`."""

    number: int
    members: set[str]
    order: list[str]
    dissent: set[str]
    late: list[str] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    voting: bool = False
    electorate: set[str] = field(default_factory=set)
    votes: dict[str, str] = field(default_factory=dict)

    @property
    def heard(self) -> set[str]:
        return {one.who for one in self.said}

    def owing(self) -> list[str]:
        """Whose turn is to come."""
        return [one for one in (*self.order, *self.late) if one not in self.heard | self.passed]

    def take_in(self, who: str) -> None:
        """Have one speak last that came in, or came back before it was heard."""
        came_back = who in self.passed and self.asked.get(who, 0) < MEETING_ASKED_MAX
        if who not in self.members or came_back:
            self.members.add(who)
            self.passed.discard(who)
            self.order = [one for one in self.order if one != who]
            self.late = [*(one for one in self.late if one != who), who]

    def proposal(self, chair: str | None) -> tuple[str, int] | None:
        """What is to be voted on: the chair's last proposal, else the last one that nobody opposed."""
        proposals = [one for one in self.said if one.proposes]
        opposed = set()
        for objection in (one for one in self.said if one.kind == "objection"):
            before = [
                one for one in proposals if one.sequence < objection.sequence and one.who != objection.who
            ]
            opposed |= {before[-1].sequence} if before else set()
        by_chair = [("chair", one.sequence) for one in proposals if one.who == chair]
        unopposed = [("unopposed", one.sequence) for one in proposals if one.sequence not in opposed]
        return (by_chair or unopposed or [None])[-1]


class Story:
    """A meeting of these members, who are called by their names in capitals."""

    def __init__(self, terms: MeetingTerms, members: tuple[str, ...]) -> None:
        self.terms = terms
        self.flow = MeetingState(terms, {one: one.upper() for one in members}, members)
        self.now = START
        self.away: set[str] = set()
        self.present = list(members)
        self.rounds: list[Round] = []
        self.sequence = 0
        self.speaking: str | None = None
        self.due_at: datetime | None = None
        self.agreed: bool | None = None
        self.is_over = False
        self.end_told: list[MeetingEffect] = []
        self.drafting = False
        self._drafting = False
        self._given: MeetingCommand = flow.Tick()
        self._gone: set[str] = set()

    @property
    def round(self) -> Round:
        return self.rounds[-1]

    # -- what is done ------------------------------------------------------------------------------

    def do(self, given: MeetingCommand, *, drafting: bool = False) -> bool:
        """Do one thing; False when it was refused, and then nothing may have changed."""
        self._given, self._drafting = given, drafting
        before, fair = self.flow, self.is_asked_for(given)
        try:
            after, happened = rules.step(before, given, self._away(), self.now, drafting=drafting)
        except RepomeshError:
            assert not fair, "what is asked for is taken"
            return False
        for event in happened:
            self.check(event)
        self.flow, self._gone = after, self.gone()
        self.compare()
        return True

    def is_asked_for(self, given: MeetingCommand) -> bool:
        """Whether the rules may not refuse this: it is what is asked for, and in time."""
        round_ = getattr(given, "round", None)
        if self.is_over or (self.due_at is not None and self.now >= self.due_at):
            return False
        match given:
            case flow.SpeakCommand(agent_id=who):
                return self.speaking == who and round_ in (None, self.round.number)
            case flow.VoteCommand(agent_id=who):
                return who in self.missing() and round_ in (None, self.round.number)
            case flow.StartCommand():
                needed = max(MEETING_PARTICIPANTS_MIN, self.terms.quorum or 0)
                return not self.rounds and len(self.present) >= needed
            case (
                flow.JoinCommand() | flow.CancelCommand()
            ):  # unless it ends before that, as those who went away are not awaited
                return self.gone() <= self._gone
            case flow.LeaveCommand(agent_id=who):
                return who in self.present and self.gone() <= self._gone
        return True

    def restart(self) -> None:
        """Keep the flow and load it again."""
        kept = orjson.dumps(flow.dump(self.flow))
        assert flow.load(orjson.loads(kept)) == self.flow
        self.flow = flow.load(orjson.loads(kept))

    def end(self) -> None:
        """Let nobody do anything any more: it ends all the same, and each deadline brings something."""
        if self.flow.status == "pending":
            return
        deadlines = self.terms.rounds_max * (len(self.flow.names) * MEETING_ASKED_MAX + 2)
        while self.flow.due_at is not None:
            assert deadlines > 0, "every meeting ends"
            self.now = self.flow.due_at
            before = self.flow
            assert self.do(flow.Tick())
            assert self.flow != before
            deadlines -= 1
        assert self.is_over, "every meeting ends"
        assert self.flow.status in ("completed", "cancelled")

    # -- what must hold ----------------------------------------------------------------------------

    def compare(self) -> None:
        """How the meeting stands is what was told of it, and somebody or something is awaited."""
        state = self.flow
        assert (list(state.present), state.round) == (self.present, len(self.rounds))
        assert (state.speaker, state.due_at) == (self.speaking, self.due_at)
        assert (state.phase is None) == (self.is_over or not self.rounds)
        assert state.sequence == self.sequence
        if not self.rounds or self.is_over:
            assert state.awaited == ()
            return
        assert self.due_at is not None
        assert self.due_at > self.now
        assert state.votes == self.round.votes
        if self.round.voting:
            assert set(state.awaited) == self.missing()
            assert self.missing() - self.gone(), "who is gone holds nobody up"
        elif state.phase == "discussion":
            assert state.awaited == (self.speaking,)
            assert self.speaking not in self.gone()

    def check(self, event: MeetingEffect) -> None:
        """What must hold when this happens, after all that happened before."""
        assert not self.is_over, "nothing happens after the end"
        match event:
            case flow.MeetingStarted():
                assert not self.rounds
                assert len(self.present) >= (self.terms.quorum or 0), "it can decide"
                self.open_round(set())
            case flow.ParticipantJoined(agent_id=who):
                self.joined(who)
            case flow.ParticipantLeft(agent_id=who):
                self.left(who)
            case flow.OpinionRequested():
                self.asked(event)
            case flow.OpinionPresented():
                self.heard(event)
            case flow.TurnSkipped(agent_id=who):
                self.skipped(who)
            case flow.DraftRequested():
                assert self._drafting
                self.all_were_heard()
                assert self.round.proposal(self.terms.chair) is None
                self.await_for(event.due_at, self.terms.drafting_timeout_s)
                self.drafting = True
            case flow.DeadlineMoved(due_at=due_at):
                assert isinstance(self._given, flow.ResumeAfterAbsence)
                assert self.due_at is not None
                assert due_at == self.due_at + timedelta(seconds=self._given.away_s), "by the absence"
                self.due_at = due_at
            case flow.VoteRequested():
                self.vote_begins(event)
            case flow.VoteCast():
                self.voted(event)
            case flow.RoundCompleted():
                self.round_ends(event)
            case flow.ConsensusReached() | flow.NoConsensus():
                assert not self.end_told
                self.end_told.append(event)
            case flow.MeetingCompleted() | flow.Cancelled():
                self.over(event)

    def open_round(self, dissent: set[str]) -> None:
        order = list(self.present)
        if self.terms.order == "fixed":
            order.sort()
        order.sort(key=lambda one: one not in dissent)
        self.rounds.append(Round(len(self.rounds) + 1, set(self.present), order, dissent))
        assert len(self.rounds) <= self.terms.rounds_max
        self.due_at = None

    def joined(self, who: str) -> None:
        assert self._given == flow.JoinCommand(who, who.upper())
        if who not in self.present:
            self.present.append(who)
        if self.rounds and not self.round.voting and not self.drafting:
            self.round.take_in(who)

    def left(self, who: str) -> None:
        assert self._given == flow.LeaveCommand(who)
        self.present.remove(who)
        if self.rounds and who not in self.round.heard:
            self.round.passed.add(who)
        if self.speaking == who:
            self.speaking = None

    def asked(self, event: flow.OpinionRequested) -> None:
        who, round_ = event.agent_id, self.round
        assert event.round == round_.number
        assert self.speaking is None, "one speaker at a time"
        assert not round_.voting, "no opinions once the vote has begun"
        assert not self.drafting
        assert who in self.present
        assert who in round_.members
        assert who not in round_.heard, "each turn once"
        assert who not in self.gone(), "who is gone holds nobody up"
        owing = round_.owing()
        assert owing, "each turn once"
        if self.terms.order != "random" or owing[0] in round_.late:
            assert who == owing[0], "in the order of the meeting, then who came in or back"
        else:
            assert who in round_.order
            assert who in round_.dissent or not round_.dissent & {*owing} & {*round_.order}
        round_.asked[who] = round_.asked.get(who, 0) + 1
        assert round_.asked[who] <= MEETING_ASKED_MAX
        self.await_for(event.due_at, self.terms.opinion_timeout_s)
        self.speaking = who

    def heard(self, event: flow.OpinionPresented) -> None:
        who, round_, given = event.agent_id, self.round, self._given
        assert event.round == round_.number
        assert self.speaking == who, "one speaker at a time"
        assert who not in round_.heard, "each turn once"
        assert event.sequence == self.sequence + 1, "no number is missing or double"
        assert self.due_at is not None
        if event.kind == "no_response":
            assert self.now >= self.due_at, "everybody has the time that was agreed"
        else:
            assert isinstance(given, flow.SpeakCommand)
            assert (given.agent_id, given.kind) == (who, event.kind)
            assert given.round in (None, round_.number)
            assert self.now < self.due_at, "what is late is not heard"
        proposes = event.kind != "no_response" and isinstance(given, flow.SpeakCommand) and given.proposes
        round_.said.append(Said(event.sequence, who, event.kind, proposes))
        self.sequence, self.speaking, self.due_at = event.sequence, None, None

    def skipped(self, who: str) -> None:
        assert who in self.gone(), "only who is gone is passed over"
        assert self.speaking in (None, who)
        assert who not in self.round.heard
        self.round.passed.add(who)
        self.speaking, self.due_at = None, None

    def all_were_heard(self) -> None:
        round_ = self.round
        assert self.speaking is None
        assert not round_.voting
        assert not set(round_.owing()) & set(self.present), "votes only after all opinions"
        assert any(one.kind != "no_response" for one in round_.said), "no vote where nobody said a word"

    def vote_begins(self, event: flow.VoteRequested) -> None:
        self.all_were_heard()
        round_, given = self.round, self._given
        assert event.round == round_.number
        assert list(event.electors) == [one for one in self.present if one in round_.members]
        chosen = round_.proposal(self.terms.chair)
        if event.source == "written":
            assert (given, chosen, self.drafting) == (flow.ProposalReady(round_.number), None, True)
        elif event.source == "draft":
            is_due = self.due_at is not None and self.now >= self.due_at
            failed = given == flow.ProposalReady(round_.number, failed=True)
            assert chosen is None
            assert is_due or failed if self.drafting else not self._drafting
        else:
            assert (event.source, event.sequence) == chosen
        round_.voting, self.drafting = True, False
        round_.electorate = set(event.electors)
        self.await_for(event.due_at, self.terms.vote_timeout_s)

    def voted(self, event: flow.VoteCast) -> None:
        round_, given, who = self.round, self._given, event.agent_id
        assert event.round == round_.number
        assert round_.voting
        assert isinstance(given, flow.VoteCommand)
        assert (given.agent_id, given.choice) == (who, event.choice)
        assert given.round in (None, round_.number)
        assert who not in round_.votes, "each votes once"
        assert who in self.missing(), "who was in the round and is present votes"
        assert self.due_at is not None
        assert self.now < self.due_at, "a late vote does not count"
        round_.votes[who] = event.choice

    def round_ends(self, event: flow.RoundCompleted) -> None:
        round_, terms = self.round, self.terms
        assert event.round == round_.number
        assert self.present, "a meeting without anybody is over"
        if round_.voting:
            assert self.due_at is not None
            assert self.now >= self.due_at or self.missing() <= self.gone(), "nobody's vote is cut off"
        else:
            assert {one.kind for one in round_.said} <= {"no_response"}
            assert not set(round_.owing()) & set(self.present)
        asked = round_.electorate if round_.voting else round_.members
        assert set(event.absent) == asked & set(self.present) - set(round_.votes)
        choices = list(round_.votes.values())
        self.agreed = event.agreed
        assert self.agreed == carried(terms.consensus, terms.quorum, choices, len(round_.electorate)), (
            "a decision only under its rule"
        )
        if self.agreed:
            assert choices.count("agree") >= MEETING_PARTICIPANTS_MIN or terms.quorum == 1, "none alone"
            assert set(round_.votes) <= round_.electorate, "those decide who were in when the vote began"
        if not self.agreed and round_.number < terms.rounds_max:
            self.open_round({one for one, choice in round_.votes.items() if choice == "disagree"})

    def over(self, event: flow.MeetingCompleted | flow.Cancelled) -> None:
        self.is_over = True
        self.speaking, self.due_at = None, None
        if isinstance(event, flow.Cancelled):
            assert self._given == flow.CancelCommand()
            assert not self.end_told
        elif event.outcome == "consensus":
            assert self.agreed, "a decision only under its rule"
            assert self.end_told == [flow.ConsensusReached(self.round.number)]
        else:
            assert event.outcome == "no_consensus"
            assert not self.agreed
            assert self.end_told == [flow.NoConsensus(self.round.number)]
            assert len(self.rounds) == self.terms.rounds_max or not self.present, "no round is left out"

    # -- who is where ------------------------------------------------------------------------------

    def missing(self) -> set[str]:
        """Who may vote and has not."""
        if not self.rounds or not self.round.voting:
            return set()
        return self.round.electorate & set(self.present) - set(self.round.votes)

    def gone(self) -> set[str]:
        """Who is passed over; nobody when all are away."""
        gone = self._away() & set(self.present)
        return set() if gone == set(self.present) else gone

    def await_for(self, due_at: datetime, seconds: float) -> None:
        assert due_at == self.now + timedelta(seconds=seconds), "everybody has the time that was agreed"
        self.due_at = due_at

    def _away(self) -> set[str]:
        return self.away - {getattr(self._given, "agent_id", "")}
