"""The values that the rules of a meeting work on: its state, the commands on it, and their effects.

None of them contains texts: the rules decide on who, when and how often. The state is stored as JSON.
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
    """The settings of a meeting, fixed before it begins. Times in seconds; `chair` is an agent id."""

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
    """One participant's turn in the present round, and how often the participant was asked in it."""

    status: TurnStatus = "waiting"
    asked: int = 0


@dataclass(frozen=True, slots=True)
class TabledProposal:
    """A proposal of the present round: the number of its opinion, its author's id, objections to it."""

    sequence: int
    by: str
    opposed: int = 0


@dataclass(frozen=True, slots=True)
class MeetingState:
    """The state of a meeting. `present` are the ids of participants who have not left, in their order.

    `electorate` are those who were present when the vote of the present round began; it does not shrink.
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
        """The ids of those who may vote: present, with a turn in this round, there when the vote began."""
        return tuple(agent_id for agent_id in self.present if agent_id in (self.electorate or self.turns))

    @property
    def awaited(self) -> tuple[str, ...]:
        """The ids of the participants who are asked to speak or vote now and have not done so."""
        if self.phase == "discussion":
            return () if self.speaker is None else (self.speaker,)
        if self.phase == "voting":
            return tuple(agent_id for agent_id in self.electors if agent_id not in self.votes)
        return ()


_ADAPTER = TypeAdapter(MeetingState)


def dump(state: MeetingState) -> dict[str, Any]:
    """A meeting's state as JSON values."""
    values: dict[str, Any] = _ADAPTER.dump_python(state, mode="json")
    return values


def load(values: Mapping[str, Any]) -> MeetingState:
    """The state of a meeting from its JSON values; raises ValidationError for damaged ones."""
    return _ADAPTER.validate_python(values)


# -- commands --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinCommand:
    """An agent joins, returns after it left, or returns after its turn was skipped."""

    agent_id: str
    name: str


@dataclass(frozen=True, slots=True)
class LeaveCommand:
    """A participant leaves."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class StartCommand:
    """The first round begins."""


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """The meeting is called off."""


@dataclass(frozen=True, slots=True)
class SpeakCommand:
    """A participant gives its opinion; refused if `round` is given and is not the present one."""

    agent_id: str
    kind: OpinionKind = "opinion"
    proposes: bool = False
    round: int | None = None


@dataclass(frozen=True, slots=True)
class VoteCommand:
    """A participant votes; refused if `round` is given and is not the present one."""

    agent_id: str
    choice: Choice
    round: int | None = None


@dataclass(frozen=True, slots=True)
class ProposalReady:
    """The language model wrote the proposal of a round, or `failed` to."""

    round: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed, or a participant became inactive."""


@dataclass(frozen=True, slots=True)
class ResumeAfterAbsence:
    """The server is back after `away_s` seconds, by which deadlines are moved."""

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


# -- effects ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """An agent takes part now."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """A participant left."""

    agent_id: str


@dataclass(frozen=True, slots=True)
class MeetingStarted:
    """The meeting is in progress."""


@dataclass(frozen=True, slots=True)
class OpinionRequested:
    """It is one participant's turn to speak."""

    round: int
    agent_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class OpinionPresented:
    """An opinion was recorded, or at the deadline that there was none."""

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
    """No proposal is unopposed: the language model is asked to write one from the opinions."""

    round: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DeadlineMoved:
    """The deadline is later, since the server was away for a while."""

    round: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class VoteRequested:
    """All have spoken. `sequence` is the number of the opinion that made the proposal, if one did."""

    round: int
    source: Source
    sequence: int | None
    electors: tuple[str, ...]
    due_at: datetime


@dataclass(frozen=True, slots=True)
class VoteCast:
    """A vote was recorded."""

    round: int
    agent_id: str
    choice: Choice


@dataclass(frozen=True, slots=True)
class RoundCompleted:
    """A round is over: whether its proposal was carried, and the ids of those who cast no vote."""

    round: int
    agreed: bool
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsensusReached:
    """The proposal of the round stands as a decision."""

    round: int


@dataclass(frozen=True, slots=True)
class NoConsensus:
    """The last round ended without a decision."""

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
