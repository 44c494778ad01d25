"""The values that the rules of a meeting work on: how it stands, what is done to it, what that brings about.

None of them holds what was said: the rules decide on who, when and how often. A flow is kept as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from repomesh.kernel.clock import Timestamp

MeetingStatus = Literal["pending", "in_progress", "completed", "cancelled"]

Outcome = Literal["consensus", "no_consensus", "cancelled"]

Phase = Literal["discussion", "drafting", "voting"]
"""One after another speaks; the proposal is being written; all vote on it."""

TurnStatus = Literal["waiting", "asked", "spoke", "no_response", "skipped", "left"]
"""Of one participant in one round. Who was skipped or left before it spoke may come back once."""

Order = Literal["given", "fixed", "random"]
"""As they were named, by name, or shuffled anew each round."""

Consensus = Literal["unanimous", "majority", "two_thirds", "quorum"]

Choice = Literal["agree", "disagree", "abstain"]

OpinionKind = Literal["opinion", "proposal", "support", "objection", "no_response"]

Source = Literal["chair", "unopposed", "written", "draft"]
"""Whose proposal is voted on: the chair's, the last unopposed one, one written by a model, or a draft."""


@dataclass(frozen=True, slots=True)
class MeetingTerms:
    """What was agreed before a meeting begins."""

    rounds_max: int = 3
    order: Order = "given"
    consensus: Consensus = "majority"
    quorum: int | None = None
    opinion_timeout_s: float = 300.0
    vote_timeout_s: float = 300.0
    drafting_timeout_s: float = 60.0
    chair: str | None = None
    seed: str = ""  # of the order 'random', so that every node shuffles alike


@dataclass(frozen=True, slots=True)
class Turn:
    """How one participant's turn of the present round stands, and how often it was asked."""

    status: TurnStatus = "waiting"
    asked: int = 0


@dataclass(frozen=True, slots=True)
class TabledProposal:
    """A proposal of the present round, by the number of the opinion that made it."""

    sequence: int
    by: str
    opposed: int = 0


@dataclass(frozen=True, slots=True)
class MeetingState:
    """How a meeting stands. `present` are the participants who have not left, in their order.

    `electorate` are those who were in when the vote of the present round began; it does not shrink.
    """

    terms: MeetingTerms = field(default_factory=MeetingTerms)
    names: Mapping[str, str] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    status: MeetingStatus = "pending"
    outcome: Outcome | None = None
    phase: Phase | None = None
    round: int = 0
    queue: tuple[str, ...] = ()
    turns: Mapping[str, Turn] = field(default_factory=dict)
    speaker: str | None = None
    due_at: Timestamp | None = None
    sequence: int = 0
    tabled: tuple[TabledProposal, ...] = ()
    votes: Mapping[str, Choice] = field(default_factory=dict)
    electorate: tuple[str, ...] = ()

    @property
    def electors(self) -> tuple[str, ...]:
        """Who may vote in this round: those present who had a turn in it, and were in when the vote began."""
        return tuple(one for one in self.present if one in (self.electorate or self.turns))

    @property
    def awaited(self) -> tuple[str, ...]:
        """Of whom something is asked now."""
        if self.phase == "discussion":
            return () if self.speaker is None else (self.speaker,)
        if self.phase == "voting":
            return tuple(one for one in self.electors if one not in self.votes)
        return ()


_ADAPTER = TypeAdapter(MeetingState)


def dump(flow: MeetingState) -> dict[str, Any]:
    """A flow as JSON values."""
    kept: dict[str, Any] = _ADAPTER.dump_python(flow, mode="json")
    return kept


def load(kept: Mapping[str, Any]) -> MeetingState:
    """The flow that was kept."""
    return _ADAPTER.validate_python(kept)


# -- what is done ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinCommand:
    """An agent takes part, comes back, or was skipped and is there again."""

    agent_id: str
    name: str


@dataclass(frozen=True, slots=True)
class LeaveCommand:
    """A participant does not take part any more."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class StartCommand:
    """The first round begins."""


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """The meeting is not wanted any more."""


@dataclass(frozen=True, slots=True)
class SpeakCommand:
    """A participant gives its opinion; `round` is the one that it means, if it says so."""

    agent_id: str
    kind: OpinionKind = "opinion"
    proposes: bool = False
    round: int | None = None


@dataclass(frozen=True, slots=True)
class VoteCommand:
    """A participant votes."""

    agent_id: str
    choice: Choice
    round: int | None = None


@dataclass(frozen=True, slots=True)
class ProposalReady:
    """The proposal of a round was written elsewhere, or `failed` to be."""

    round: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed, or somebody went away."""


@dataclass(frozen=True, slots=True)
class ResumeAfterAbsence:
    """The server is back after an absence, which counts against nobody's time."""

    away_s: float


MeetingCommand = (
    JoinCommand
    | LeaveCommand
    | StartCommand
    | CancelCommand
    | SpeakCommand
    | VoteCommand
    | ProposalReady
    | Tick
    | ResumeAfterAbsence
)


# -- what that brings about ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """Somebody takes part now."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """Somebody does not take part any more."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class MeetingStarted:
    """The meeting is in progress."""


@dataclass(frozen=True, slots=True)
class OpinionRequested:
    """It is somebody's turn."""

    round: int
    agent_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class OpinionPresented:
    """An opinion, or at the deadline that there was none, is on record."""

    round: int
    agent_id: str
    sequence: int
    kind: OpinionKind


@dataclass(frozen=True, slots=True)
class TurnSkipped:
    """A participant that is known to be inactive was passed over."""

    round: int
    agent_id: str


@dataclass(frozen=True, slots=True)
class DraftRequested:
    """No proposal stands, so one is to be written from what was said."""

    round: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadlineMoved:
    """Whoever is awaited has until then, since the server was away for a while."""

    round: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class VoteRequested:
    """All were heard. `sequence` is the opinion whose proposal it is; None for what was written."""

    round: int
    source: Source
    sequence: int | None
    electors: tuple[str, ...]
    due_at: datetime


@dataclass(frozen=True, slots=True)
class VoteCast:
    """A vote is on record."""

    round: int
    agent_id: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class RoundCompleted:
    """A round is over; `agreed` by the meeting's rule or not, and who cast no vote."""

    round: int
    agreed: bool
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsensusReached:
    """The proposal of the round stands as a decision."""

    round: int


@dataclass(frozen=True, slots=True)
class NoConsensus:
    """The last round ended without one."""

    round: int


@dataclass(frozen=True, slots=True)
class MeetingCompleted:
    """The meeting is over."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The meeting was called off."""


MeetingEffect = (
    ParticipantJoined
    | ParticipantLeft
    | MeetingStarted
    | OpinionRequested
    | OpinionPresented
    | TurnSkipped
    | DraftRequested
    | DeadlineMoved
    | VoteRequested
    | VoteCast
    | RoundCompleted
    | ConsensusReached
    | NoConsensus
    | MeetingCompleted
    | Cancelled
)
