"""The events of meetings. Each carries the meeting as it is when its command is done."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.meetings.decisions.models import Decision
from repomesh.domains.meetings.models import CastVote, Meeting, Opinion, Proposal
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model


class MeetingChanged(Model):
    """The new state of a meeting."""

    meeting: Meeting


class MeetingMember(MeetingChanged):
    """An agent came into a meeting, or left it."""

    agent_id: Id
    agent_name: str


class MeetingTurn(MeetingMember):
    """It is one participant's turn, or its turn was passed over since it is known to be inactive."""

    round: int
    due_at: Timestamp | None = Field(description="When the participant's time to speak ends.")


class MeetingOpinion(MeetingChanged):
    """An opinion, or that there was none in time, is on record."""

    opinion: Opinion


class MeetingDraft(MeetingChanged):
    """A proposal is being written from what was said, since none stands."""

    round: int
    due_at: Timestamp


class MeetingDeadline(MeetingChanged):
    """A deadline is later, since the server was away for a while."""

    round: int
    due_at: Timestamp


class MeetingVoteRequest(MeetingChanged):
    """All were heard and are asked to vote."""

    round: int
    proposal: Proposal
    elector_ids: list[Id]
    due_at: Timestamp


class MeetingVote(MeetingChanged):
    """A vote is on record."""

    vote: CastVote


class MeetingRound(MeetingChanged):
    """The end of a round."""

    round: int
    agreed: bool
    absent: list[str] = Field(description="Participants that cast no vote in time.")


class MeetingConsensus(MeetingChanged):
    """The proposal was carried and stands as a decision."""

    round: int
    decision: Decision


class MeetingNoConsensus(MeetingChanged):
    """The last round ended without a decision."""

    round: int
    summary: str = Field(description="The position of each participant.")


MEETING_CREATED = event_type(
    "meeting.created", MeetingChanged, "A meeting was called; it waits for its start."
)
MEETING_JOINED = event_type("meeting.joined", MeetingMember, "An agent joined a meeting.")
MEETING_LEFT = event_type("meeting.left", MeetingMember, "An agent left a meeting.")
MEETING_STARTED = event_type("meeting.started", MeetingChanged, "A meeting began.")
MEETING_OPINION_REQUESTED = event_type(
    "meeting.opinion_requested", MeetingTurn, "It is one participant's turn to speak."
)
MEETING_OPINION_PRESENTED = event_type(
    "meeting.opinion_presented", MeetingOpinion, "An opinion was recorded, or that none was given in time."
)
MEETING_TURN_SKIPPED = event_type(
    "meeting.turn_skipped",
    MeetingTurn,
    "A participant's turn was skipped, since the participant is inactive.",
)
MEETING_DRAFT_REQUESTED = event_type(
    "meeting.draft_requested",
    MeetingDraft,
    "Nobody proposed anything: the language model is asked to draft a proposal.",
)
MEETING_DEADLINE_MOVED = event_type(
    "meeting.deadline_moved", MeetingDeadline, "The deadline moved by the time for which the server was away."
)
MEETING_VOTE_REQUESTED = event_type(
    "meeting.vote_requested",
    MeetingVoteRequest,
    "Every participant has spoken; the participants are asked to vote on the proposal.",
)
MEETING_VOTE_CAST = event_type("meeting.vote_cast", MeetingVote, "A participant voted.")
MEETING_ROUND_COMPLETED = event_type(
    "meeting.round_completed", MeetingRound, "A round ended; its data says who agreed and who was absent."
)
MEETING_CONSENSUS_REACHED = event_type(
    "meeting.consensus_reached", MeetingConsensus, "The proposal was carried and is recorded as a decision."
)
MEETING_NO_CONSENSUS = event_type(
    "meeting.no_consensus", MeetingNoConsensus, "The last round ended without a decision."
)
MEETING_COMPLETED = event_type("meeting.completed", MeetingChanged, "A meeting ended.")
MEETING_CANCELLED = event_type("meeting.cancelled", MeetingChanged, "A meeting was cancelled before its end.")
