"""The rules of a meeting: a pure state machine, `(state, command, inactive, now) -> (state, effects)`.

In a round the participants speak one after another, then vote on a proposal. The consensus rule decides
whether it is carried; else the next round begins with the dissenters. Every wait has a deadline, so every
meeting ends.
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
    """Apply a command to a meeting's state. Returns the new state and the effects, in order.

    `away` are the ids of inactive participants; `drafting` says that a language model can write proposals.
    Raises the error of a command that is not allowed; then nothing has changed, not even by time that passed.
    """
    run = _Run(state, away, now, drafting=drafting)
    if isinstance(command, flow.ResumeAfterAbsence):  # before deadlines are checked
        run.move_deadline(command.away_s)
    run.settle()
    run.apply(command)
    run.settle()
    return run.flow, tuple(run.effects)


class _Run:
    """One step: the state as it changes, and its effects so far."""

    def __init__(self, state: MeetingState, away: Collection[str], now: datetime, *, drafting: bool) -> None:
        self.flow = state
        self.now = now
        self.effects: list[MeetingEffect] = []
        self._away = frozenset(away)
        self._drafting = drafting

    def move_deadline(self, away_s: float) -> None:
        """Move the open deadline by the seconds that the server was away."""
        if self.flow.due_at is not None:
            due_at = self.flow.due_at + timedelta(seconds=away_s)
            self._set(due_at=due_at)
            self._emit(flow.DeadlineMoved(self.flow.round, due_at))

    # -- automatic steps: each returns whether it changed anything ---------------------------------

    def settle(self) -> None:
        """Take automatic steps until a participant is awaited or the meeting is over."""
        phases = {"discussion": self._discuss, "drafting": self._check_draft, "voting": self._count_votes}
        while self.flow.phase is not None:
            if not self.flow.present:
                self._emit(flow.NoConsensus(self.flow.round))
                return self._end_meeting("no_consensus")
            if not phases[self.flow.phase]():
                return None
        return None

    def _discuss(self) -> bool:
        """Ask the next participant to speak, or pass over the present one; False while one is awaited."""
        state = self.flow
        speaker = state.speaker
        if speaker is None:
            next_speaker = next(
                (agent_id for agent_id in state.queue if state.turns[agent_id].status == "waiting"), None
            )
            if next_speaker is None:
                return self._close_discussion()
            if next_speaker in self._inactive_present():
                return self._skip_turn(next_speaker)
            return self._ask_to_speak(next_speaker)
        if self._is_due():
            self._record_opinion(speaker, "no_response", proposes=False)
            return True
        return self._skip_turn(speaker) if speaker in self._inactive_present() else False

    def _close_discussion(self) -> bool:
        """Go on to the vote, or conclude the round when nobody spoke."""
        state = self.flow
        if all(turn.status != "spoke" for turn in state.turns.values()):
            return self._conclude()
        choice = consensus.choose_proposal(state.tabled, state.terms.chair)
        if choice is not None:
            self._request_votes(*choice)
        elif self._drafting:
            due_at = self._due_after(state.terms.drafting_timeout_s)
            self._set(phase="drafting", due_at=due_at)
            self._emit(flow.DraftRequested(state.round, due_at))
        else:
            self._request_votes("draft", None)
        return True

    def _check_draft(self) -> bool:
        """At the deadline put a draft to the vote in place of a written proposal."""
        if self._is_due():
            self._request_votes("draft", None)
            return True
        return False

    def _count_votes(self) -> bool:
        """Conclude the round when all electors have voted, or at the deadline."""
        missing = [agent_id for agent_id in self.flow.awaited if agent_id not in self._inactive_present()]
        return False if missing and not self._is_due() else self._conclude()

    def _conclude(self) -> bool:
        """End the round: with a decision, with the next round, or after the last one without consensus."""
        state = self.flow
        terms = state.terms
        electors = len(state.electorate or state.electors)
        agreed = consensus.is_carried(terms.consensus, terms.quorum, state.votes, electors)
        absent = tuple(agent_id for agent_id in state.electors if agent_id not in state.votes)
        self._emit(flow.RoundCompleted(state.round, agreed, absent))
        if agreed:
            self._emit(flow.ConsensusReached(state.round))
            self._end_meeting("consensus")
        elif state.round >= terms.rounds_max:
            self._emit(flow.NoConsensus(state.round))
            self._end_meeting("no_consensus")
        else:
            self._open_round(state.round + 1)
        return True

    # -- commands ----------------------------------------------------------------------------------

    @singledispatchmethod
    def apply(self, command: Any) -> None:
        """Apply a command; raises the error of one that is not allowed."""
        raise NotImplementedError(type(command))

    @apply.register(flow.Tick)
    @apply.register(flow.ResumeAfterAbsence)
    def _(self, command: flow.Tick | flow.ResumeAfterAbsence) -> None:
        pass

    @apply.register
    def _(self, command: flow.StartCommand) -> None:
        self._require_status("pending")
        needed = max(MEETING_PARTICIPANTS_MIN, self.flow.terms.quorum or 0)
        if len(self.flow.present) < needed:
            raise TooFewParticipants(f"the meeting has {len(self.flow.present)} participants of {needed}")
        self._set(status="in_progress")
        self._emit(flow.MeetingStarted())
        self._open_round(1)

    @apply.register
    def _(self, command: flow.CancelCommand) -> None:
        self._require_status("pending", "in_progress")
        self._set(phase=None, speaker=None, due_at=None, status="cancelled", outcome="cancelled")
        self._emit(flow.Cancelled())

    @apply.register
    def _(self, command: flow.JoinCommand) -> None:
        self._require_status("pending", "in_progress")
        state, agent_id = self.flow, command.agent_id
        if agent_id not in state.names and len(state.names) >= MEETING_PARTICIPANTS_MAX:
            raise TooManyParticipants(f"{len(state.names)} agents took part, which is the limit")
        present = state.present if agent_id in state.present else (*state.present, agent_id)
        self._set(names={**state.names, agent_id: command.name}, present=present)
        self._note_joined(agent_id)
        self._give_turn(agent_id)
        if self.flow != state:
            self._emit(flow.ParticipantJoined(agent_id))

    @apply.register
    def _(self, command: flow.LeaveCommand) -> None:
        self._require_status("pending", "in_progress")
        state, agent_id = self.flow, command.agent_id
        self._require_present(agent_id)
        turn = state.turns.get(agent_id)
        if turn is not None and turn.status in ("waiting", "asked"):
            self._set_turn(agent_id, replace(turn, status="left"))
        speaker = None if state.speaker == agent_id else state.speaker
        present = tuple(other_id for other_id in state.present if other_id != agent_id)
        self._set(
            present=present,
            joined=tuple(other_id for other_id in state.joined if other_id != agent_id),
            speaker=speaker,
        )
        self._emit(flow.ParticipantLeft(agent_id))

    @apply.register
    def _(self, command: flow.SpeakCommand) -> None:
        self._require_status("in_progress")
        self._require_present(command.agent_id)
        self._require_turn(command.agent_id, command.round)
        self._note_joined(command.agent_id)
        self._record_opinion(command.agent_id, command.kind, proposes=command.proposes)

    @apply.register
    def _(self, command: flow.VoteCommand) -> None:
        self._require_status("in_progress")
        self._require_present(command.agent_id)
        self._require_vote(command.agent_id, command.round)
        self._note_joined(command.agent_id)
        self._set(votes={**self.flow.votes, command.agent_id: command.choice})
        self._emit(flow.VoteCast(self.flow.round, command.agent_id, command.choice))

    @apply.register
    def _(self, command: flow.ProposalReady) -> None:
        if self.flow.phase == "drafting" and self.flow.round == command.round:
            self._request_votes("draft" if command.failed else "written", None)

    # -- steps that commands and automatic steps share ---------------------------------------------

    def _open_round(self, round_: int) -> None:
        state = self.flow
        dissent = consensus.dissenters(state)
        queue = consensus.speaking_order(state.terms, state.names, state.present, round_, dissent)
        turns = {agent_id: Turn() for agent_id in queue}
        self._set(round=round_, phase="discussion", queue=queue, turns=turns, speaker=None, due_at=None)
        self._set(tabled=(), votes={}, electorate=())

    def _give_turn(self, agent_id: str) -> None:
        """Queue a participant who joined or returned at the end of the discussion of this round."""
        state = self.flow
        if state.phase != "discussion":
            return
        turn = state.turns.get(agent_id, Turn())
        may_return = turn.status in ("skipped", "left") and turn.asked < MEETING_ASKED_MAX
        if agent_id not in state.turns or may_return:
            self._set_turn(agent_id, replace(turn, status="waiting"))
            self._set(queue=(*(other_id for other_id in state.queue if other_id != agent_id), agent_id))

    def _ask_to_speak(self, agent_id: str) -> bool:
        due_at = self._due_after(self.flow.terms.opinion_timeout_s)
        self._set_turn(agent_id, Turn("asked", self.flow.turns[agent_id].asked + 1))
        self._set(speaker=agent_id, due_at=due_at)
        self._emit(flow.OpinionRequested(self.flow.round, agent_id, due_at))
        return True

    def _skip_turn(self, agent_id: str) -> bool:
        self._set_turn(agent_id, replace(self.flow.turns[agent_id], status="skipped"))
        self._set(speaker=None, due_at=None)
        self._emit(flow.TurnSkipped(self.flow.round, agent_id))
        return True

    def _record_opinion(self, agent_id: str, kind: flow.OpinionKind, *, proposes: bool) -> None:
        state = self.flow
        sequence = state.sequence + 1
        silent = kind == "no_response"
        self._set_turn(agent_id, replace(state.turns[agent_id], status="no_response" if silent else "spoke"))
        tabled = consensus.update_tabled(state.tabled, sequence, agent_id, kind, proposes=proposes)
        self._set(sequence=sequence, tabled=tabled, speaker=None, due_at=None)
        self._emit(flow.OpinionPresented(state.round, agent_id, sequence, kind))

    def _request_votes(self, source: flow.Source, sequence: int | None) -> None:
        due_at = self._due_after(self.flow.terms.vote_timeout_s)
        electors = self.flow.electors
        self._set(phase="voting", due_at=due_at, electorate=electors)
        self._emit(flow.VoteRequested(self.flow.round, source, sequence, electors, due_at))

    def _end_meeting(self, outcome: flow.Outcome) -> None:
        self._set(phase=None, speaker=None, due_at=None, status="completed", outcome=outcome)
        self._emit(flow.MeetingCompleted(outcome))

    # -- checks: each raises the error of a command that is not allowed ----------------------------

    def _require_status(self, *allowed: str) -> None:
        state = self.flow
        if state.status not in allowed:
            ended = f", outcome {state.outcome}" if state.outcome else ""
            raise MeetingStatusConflict(
                f"the meeting is {state.status}{ended}", meeting_status=state.status, outcome=state.outcome
            )

    def _require_present(self, agent_id: str) -> None:
        if agent_id not in self.flow.present:
            raise NotAParticipant("the acting agent does not take part in this meeting")

    def _require_turn(self, agent_id: str, round_: int | None) -> None:
        state = self.flow
        turn_status: str = state.turns[agent_id].status if agent_id in state.turns else "came_later"
        if round_ is not None and round_ != state.round:
            turn_status = "round_over" if round_ < state.round else "round_not_begun"
        elif state.speaker == agent_id:
            return
        elif turn_status == "waiting":
            speaker = state.names[state.speaker or ""]
            raise NotYourTurn(f"it is the turn of '{speaker}'", speaker=speaker, round=state.round)
        raise TurnOver(
            f"round {state.round} is on, in its {state.phase}: {_TURN_OVER_REASONS[turn_status]}",
            happened=turn_status,
            round=state.round,
            phase=state.phase,
        )

    def _require_vote(self, agent_id: str, round_: int | None) -> None:
        state = self.flow
        position: dict[str, Any] = {"round": state.round, "phase": state.phase}
        if round_ is not None and round_ != state.round:
            raise NotVoting(f"round {state.round} is on, not {round_}", **position)
        if state.phase != "voting":
            raise NotVoting(f"round {state.round} is in its {state.phase}", **position)
        if agent_id not in state.electors:
            raise NotVoting("the vote began before the acting agent came in", **position)
        if agent_id in state.votes:
            raise AlreadyVoted(
                f"the acting agent voted '{state.votes[agent_id]}' in round {state.round}", **position
            )

    # -- reading and changing the state ------------------------------------------------------------

    def _inactive_present(self) -> frozenset[str]:
        """The inactive among those present; none when all are: then the server may have been away."""
        inactive = self._away.intersection(self.flow.present)
        return frozenset() if len(inactive) == len(self.flow.present) else inactive

    def _is_due(self) -> bool:
        return self.flow.due_at is not None and self.now >= self.flow.due_at

    def _due_after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def _note_joined(self, agent_id: str) -> None:
        if agent_id not in self.flow.joined:
            self._set(joined=(*self.flow.joined, agent_id))

    def _set_turn(self, agent_id: str, turn: Turn) -> None:
        self._set(turns={**self.flow.turns, agent_id: turn})

    def _set(self, **changes: Any) -> None:
        self.flow = replace(self.flow, **changes)

    def _emit(self, event: MeetingEffect) -> None:
        self.effects.append(event)


_TURN_OVER_REASONS = {
    "round_over": "the round that was meant is over",
    "round_not_begun": "the round that was meant has not begun",
    "came_later": "the acting agent came in after this round was discussed",
    "spoke": "the acting agent spoke already",
    "no_response": "the time for the acting agent's opinion ran out",
    "skipped": "the acting agent was inactive and was passed over",
    "left": "the acting agent had left when it was its turn",
}
