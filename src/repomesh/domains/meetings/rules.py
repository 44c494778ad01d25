"""The rules of a meeting: a pure state machine, `(flow, what is done, who is away, now) -> (flow, events)`.

A round hears one participant after another, then votes on a proposal; the meeting's rule decides whether that
is a decision, else the next round begins with the dissent. Every wait has a deadline, so every meeting ends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import singledispatchmethod
from typing import Any

from repomesh.domains.meetings import consensus, flow
from repomesh.domains.meetings.errors import (
    AlreadyVoted,
    MeetingStatusConflict,
    NotAParticipant,
    NotVoting,
    NotYourTurn,
    TooFewParticipants,
    TooManyParticipants,
    TurnOver,
)
from repomesh.domains.meetings.flow import MeetingCommand, MeetingEffect, MeetingState, Turn
from repomesh.kernel.limits import MEETING_ASKED_MAX, MEETING_PARTICIPANTS_MAX, MEETING_PARTICIPANTS_MIN


def step(
    state: MeetingState,
    command: MeetingCommand,
    away: Collection[str],
    now: datetime,
    *,
    drafting: bool = False,
) -> tuple[MeetingState, tuple[MeetingEffect, ...]]:
    """How a meeting stands after something was done, and what that brought about.

    `away` are participants known to be inactive; `drafting` says that proposals can be written elsewhere.
    Raises what stands against it, and then nothing has changed, not even by the time that passed.
    """
    run = _Run(state, away, now, drafting=drafting)
    if isinstance(command, flow.ResumeAfterAbsence):  # before time is looked at
        run.move_deadline(command.away_s)
    run.settle()
    run.take(command)
    run.settle()
    return run.flow, tuple(run.effects)


class _Run:
    """One step: the flow as it changes, and its effects so far."""

    def __init__(self, state: MeetingState, away: Collection[str], now: datetime, *, drafting: bool) -> None:
        self.flow = state
        self.now = now
        self.effects: list[MeetingEffect] = []
        self._away = frozenset(away)
        self._drafting = drafting

    def move_deadline(self, away_s: float) -> None:
        """Give whoever is awaited the time that the server was away."""
        if self.flow.due_at is not None:
            due_at = self.flow.due_at + timedelta(seconds=away_s)
            self._set(due_at=due_at)
            self._emit(flow.DeadlineMoved(self.flow.round, due_at))

    # -- what comes by itself ----------------------------------------------------------------------

    def settle(self) -> None:
        """Do what needs nobody, until somebody is awaited or the meeting is over."""
        phases = {"discussion": self._discuss, "drafting": self._draft, "voting": self._count}
        while self.flow.phase is not None:
            if not self.flow.present:
                self._emit(flow.NoConsensus(self.flow.round))
                return self._end("no_consensus")
            if not phases[self.flow.phase]():
                return None
        return None

    def _discuss(self) -> bool:
        """Hear the next; False while somebody is awaited."""
        state = self.flow
        speaker = state.speaker
        if speaker is None:
            following = next((one for one in state.queue if state.turns[one].status == "waiting"), None)
            if following is None:
                return self._all_heard()
            if following in self._gone():
                return self._skip(following)
            return self._ask(following)
        if self._is_due():
            self._record(speaker, "no_response", proposes=False)
            return True
        return self._skip(speaker) if speaker in self._gone() else False

    def _all_heard(self) -> bool:
        """Go on to the vote, or to the next round when nobody said a word."""
        state = self.flow
        if all(turn.status != "spoke" for turn in state.turns.values()):
            return self._conclude()
        choice = consensus.chosen(state.tabled, state.terms.chair)
        if choice is not None:
            self._request_votes(*choice)
        elif self._drafting:
            due_at = self._in(state.terms.drafting_timeout_s)
            self._set(phase="drafting", due_at=due_at)
            self._emit(flow.DraftRequested(state.round, due_at))
        else:
            self._request_votes("draft", None)
        return True

    def _draft(self) -> bool:
        """Make do without a written proposal at the deadline."""
        if self._is_due():
            self._request_votes("draft", None)
            return True
        return False

    def _count(self) -> bool:
        """Count when all have voted who may, or time is up."""
        missing = [one for one in self.flow.awaited if one not in self._gone()]
        return False if missing and not self._is_due() else self._conclude()

    def _conclude(self) -> bool:
        """End the round: with a decision, with the next round, or without either."""
        state = self.flow
        terms = state.terms
        electors = len(state.electorate or state.electors)
        agreed = consensus.agreed(terms.consensus, terms.quorum, state.votes, electors)
        absent = tuple(one for one in state.electors if one not in state.votes)
        self._emit(flow.RoundCompleted(state.round, agreed, absent))
        if agreed:
            self._emit(flow.ConsensusReached(state.round))
            self._end("consensus")
        elif state.round >= terms.rounds_max:
            self._emit(flow.NoConsensus(state.round))
            self._end("no_consensus")
        else:
            self._open_round(state.round + 1)
        return True

    # -- what is done ------------------------------------------------------------------------------

    @singledispatchmethod
    def take(self, command: Any) -> None:
        """Do what is asked; raises what stands against it."""
        raise NotImplementedError(type(command))

    @take.register(flow.Tick)
    @take.register(flow.ResumeAfterAbsence)
    def _(self, command: flow.Tick | flow.ResumeAfterAbsence) -> None:
        pass

    @take.register
    def _(self, command: flow.StartCommand) -> None:
        self._require_status("pending")
        needed = max(MEETING_PARTICIPANTS_MIN, self.flow.terms.quorum or 0)
        if len(self.flow.present) < needed:
            raise TooFewParticipants(f"the meeting has {len(self.flow.present)} participants of {needed}")
        self._set(status="in_progress")
        self._emit(flow.MeetingStarted())
        self._open_round(1)

    @take.register
    def _(self, command: flow.CancelCommand) -> None:
        self._require_status("pending", "in_progress")
        self._set(phase=None, speaker=None, due_at=None, status="cancelled", outcome="cancelled")
        self._emit(flow.Cancelled())

    @take.register
    def _(self, command: flow.JoinCommand) -> None:
        self._require_status("pending", "in_progress")
        state, who = self.flow, command.agent_id
        if who not in state.names and len(state.names) >= MEETING_PARTICIPANTS_MAX:
            raise TooManyParticipants(f"{len(state.names)} agents took part, which is the limit")
        present = state.present if who in state.present else (*state.present, who)
        self._set(names={**state.names, who: command.name}, present=present)
        self._note_joined(who)
        self._give_turn(who)
        if self.flow != state:
            self._emit(flow.ParticipantJoined(who))

    @take.register
    def _(self, command: flow.LeaveCommand) -> None:
        self._require_status("pending", "in_progress")
        state, who = self.flow, command.agent_id
        self._require_present(who)
        turn = state.turns.get(who)
        if turn is not None and turn.status in ("waiting", "asked"):
            self._turn(who, replace(turn, status="left"))
        speaker = None if state.speaker == who else state.speaker
        present = tuple(one for one in state.present if one != who)
        self._set(present=present, joined=tuple(one for one in state.joined if one != who), speaker=speaker)
        self._emit(flow.ParticipantLeft(who))

    @take.register
    def _(self, command: flow.SpeakCommand) -> None:
        self._require_status("in_progress")
        self._require_present(command.agent_id)
        self._require_turn(command.agent_id, command.round)
        self._note_joined(command.agent_id)
        self._record(command.agent_id, command.kind, proposes=command.proposes)

    @take.register
    def _(self, command: flow.VoteCommand) -> None:
        self._require_status("in_progress")
        self._require_present(command.agent_id)
        self._require_vote(command.agent_id, command.round)
        self._note_joined(command.agent_id)
        self._set(votes={**self.flow.votes, command.agent_id: command.choice})
        self._emit(flow.VoteCast(self.flow.round, command.agent_id, command.choice))

    @take.register
    def _(self, command: flow.ProposalReady) -> None:
        if self.flow.phase == "drafting" and self.flow.round == command.round:
            self._request_votes("draft" if command.failed else "written", None)

    # -- steps of both -----------------------------------------------------------------------------

    def _open_round(self, round_: int) -> None:
        state = self.flow
        dissent = consensus.dissenters(state)
        queue = consensus.speaking_order(state.terms, state.names, state.present, round_, dissent)
        turns = {one: Turn() for one in queue}
        self._set(round=round_, phase="discussion", queue=queue, turns=turns, speaker=None, due_at=None)
        self._set(tabled=(), votes={}, electorate=())

    def _give_turn(self, who: str) -> None:
        """Put somebody who came in, or came back, at the end of the discussion of this round."""
        state = self.flow
        if state.phase != "discussion":
            return
        turn = state.turns.get(who, Turn())
        back = turn.status in ("skipped", "left") and turn.asked < MEETING_ASKED_MAX
        if who not in state.turns or back:
            self._turn(who, replace(turn, status="waiting"))
            self._set(queue=(*(one for one in state.queue if one != who), who))

    def _ask(self, who: str) -> bool:
        due_at = self._in(self.flow.terms.opinion_timeout_s)
        self._turn(who, Turn("asked", self.flow.turns[who].asked + 1))
        self._set(speaker=who, due_at=due_at)
        self._emit(flow.OpinionRequested(self.flow.round, who, due_at))
        return True

    def _skip(self, who: str) -> bool:
        self._turn(who, replace(self.flow.turns[who], status="skipped"))
        self._set(speaker=None, due_at=None)
        self._emit(flow.TurnSkipped(self.flow.round, who))
        return True

    def _record(self, who: str, kind: flow.OpinionKind, *, proposes: bool) -> None:
        state = self.flow
        sequence = state.sequence + 1
        silent = kind == "no_response"
        self._turn(who, replace(state.turns[who], status="no_response" if silent else "spoke"))
        tabled = consensus.tabled_with(state.tabled, sequence, who, kind, proposes=proposes)
        self._set(sequence=sequence, tabled=tabled, speaker=None, due_at=None)
        self._emit(flow.OpinionPresented(state.round, who, sequence, kind))

    def _request_votes(self, source: flow.Source, sequence: int | None) -> None:
        due_at = self._in(self.flow.terms.vote_timeout_s)
        electors = self.flow.electors
        self._set(phase="voting", due_at=due_at, electorate=electors)
        self._emit(flow.VoteRequested(self.flow.round, source, sequence, electors, due_at))

    def _end(self, outcome: flow.Outcome) -> None:
        self._set(phase=None, speaker=None, due_at=None, status="completed", outcome=outcome)
        self._emit(flow.MeetingCompleted(outcome))

    # -- what stands against it --------------------------------------------------------------------

    def _require_status(self, *allowed: str) -> None:
        state = self.flow
        if state.status not in allowed:
            ended = f", outcome {state.outcome}" if state.outcome else ""
            raise MeetingStatusConflict(
                f"the meeting is {state.status}{ended}", meeting_status=state.status, outcome=state.outcome
            )

    def _require_present(self, who: str) -> None:
        if who not in self.flow.present:
            raise NotAParticipant("the acting agent does not take part in this meeting")

    def _require_turn(self, who: str, round_: int | None) -> None:
        state = self.flow
        turn_status: str = state.turns[who].status if who in state.turns else "came_later"
        if round_ is not None and round_ != state.round:
            turn_status = "round_over" if round_ < state.round else "round_not_begun"
        elif state.speaker == who:
            return
        elif turn_status == "waiting":
            speaker = state.names[state.speaker or ""]
            raise NotYourTurn(f"it is the turn of '{speaker}'", speaker=speaker, round=state.round)
        raise TurnOver(
            f"round {state.round} is on, in its {state.phase}: {_IN_WORDS[turn_status]}",
            happened=turn_status,
            round=state.round,
            phase=state.phase,
        )

    def _require_vote(self, who: str, round_: int | None) -> None:
        state = self.flow
        where: dict[str, Any] = {"round": state.round, "phase": state.phase}
        if round_ is not None and round_ != state.round:
            raise NotVoting(f"round {state.round} is on, not {round_}", **where)
        if state.phase != "voting":
            raise NotVoting(f"round {state.round} is in its {state.phase}", **where)
        if who not in state.electors:
            raise NotVoting("the vote began before the acting agent came in", **where)
        if who in state.votes:
            raise AlreadyVoted(f"the acting agent voted '{state.votes[who]}' in round {state.round}", **where)

    # -- small things ------------------------------------------------------------------------------

    def _gone(self) -> frozenset[str]:
        """Who is passed over; nobody when all are away: it may be the server that was, and deadlines hold."""
        gone = self._away.intersection(self.flow.present)
        return frozenset() if len(gone) == len(self.flow.present) else gone

    def _is_due(self) -> bool:
        return self.flow.due_at is not None and self.now >= self.flow.due_at

    def _in(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def _note_joined(self, who: str) -> None:
        if who not in self.flow.joined:
            self._set(joined=(*self.flow.joined, who))

    def _turn(self, who: str, turn: Turn) -> None:
        self._set(turns={**self.flow.turns, who: turn})

    def _set(self, **changes: Any) -> None:
        self.flow = replace(self.flow, **changes)

    def _emit(self, event: MeetingEffect) -> None:
        self.effects.append(event)


_IN_WORDS = {
    "round_over": "the round that was meant is over",
    "round_not_begun": "the round that was meant has not begun",
    "came_later": "the acting agent came in after this round was discussed",
    "spoke": "the acting agent spoke already",
    "no_response": "the time for the acting agent's opinion ran out",
    "skipped": "the acting agent was inactive and was passed over",
    "left": "the acting agent had left when it was its turn",
}
