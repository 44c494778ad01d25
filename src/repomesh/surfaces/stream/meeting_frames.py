"""The frames of a meeting's socket: those that a participant sends, and those that it receives."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import orjson
from pydantic import Field, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.meetings import events
from repomesh.domains.meetings.flow import Choice
from repomesh.domains.meetings.models import (
    CastVoteRequest,
    JoinMeeting,
    Meeting,
    MeetingRequest,
    OneMeeting,
    Speak,
)
from repomesh.domains.messaging.messages.models import SendMessage, SentMessage
from repomesh.kernel.dispatch import OperationResult
from repomesh.kernel.fields import Position, Reason, Text
from repomesh.kernel.identity import Caller
from repomesh.kernel.limits import IDEMPOTENCY_KEY_CHARS_MAX, MEETING_FRAME_CHARS_MAX
from repomesh.kernel.operation import Model
from repomesh.surfaces.stream.frames import FrameId, Frames, server_frame

EVENTS = {
    events.MEETING_JOINED: "agent_joined",
    events.MEETING_LEFT: "agent_left",
    events.MEETING_STARTED: "discussion_started",
    events.MEETING_OPINION_PRESENTED: "opinion_presented",
    events.MEETING_TURN_SKIPPED: "turn_skipped",
    events.MEETING_ROUND_COMPLETED: "round_completed",
    events.MEETING_CONSENSUS_REACHED: "consensus_reached",
    events.MEETING_NO_CONSENSUS: "no_consensus",
    events.MEETING_COMPLETED: "meeting_completed",
    events.MEETING_CANCELLED: "meeting_cancelled",
}
"""The name on the socket of each event type of the log; other events are not sent there."""

Request = TypeVar("Request", bound=Model)

_CHOICES: dict[bool | None, Choice] = {True: "agree", False: "disagree", None: "abstain"}


class MeetingQuery(Model):
    """The query of a meeting socket's URL."""

    agent_id: AgentRef | None = Field(None, description="Who speaks: a name or id that the token allows.")
    after: Position | None = Field(None, description="The last `seq` that was seen; from now on if absent.")


class _ParticipantFrame(OneMeeting):
    """Something that a participant does."""

    operation: ClassVar[str]
    """The operation that does it."""

    id: FrameId | None = Field(None, description="Your name for this frame; the answer to it carries it.")
    idempotency_key: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[\x21-\x7e]+$", min_length=1, max_length=IDEMPOTENCY_KEY_CHARS_MAX),
        ]
        | None
    ) = Field(None, description="Sent again with the same key it is done once.")

    def request(self) -> Model:
        """The frame as the request of its operation."""
        raise NotImplementedError


class OpinionFrame(Speak, _ParticipantFrame):
    """An opinion, when it is asked for."""

    operation = "meeting.speak"

    type: Literal["opinion"]

    def request(self) -> Speak:
        """The frame as the request of its operation."""
        return _operation_request(Speak, self)


class ConsensusVote(_ParticipantFrame):
    """A vote: for, against, or neither."""

    operation = "meeting.vote"

    type: Literal["consensus_vote"]
    agrees: bool | None = Field(description="Null abstains.")
    reason: Reason = ""
    amendment: Reason | None = None
    round: int | None = Field(None, description="The round that is meant; refused if it is over.")

    def request(self) -> CastVoteRequest:
        """The frame as the request of its operation."""
        return CastVoteRequest(
            meeting_id=self.meeting_id,
            choice=_CHOICES[self.agrees],
            reason=self.reason,
            amendment=self.amendment,
            round=self.round,
        )


class DirectMessage(_ParticipantFrame):
    """A message to one agent; kept, received and acknowledged like any other."""

    operation = "message.send"

    type: Literal["direct_message"]
    receiver_id: AgentRef
    content: Annotated[Text, Field(min_length=1)]

    def request(self) -> SendMessage:
        """The frame as the request of its operation."""
        return SendMessage(to=(self.receiver_id,), body=self.content, topic=topic_of(self.meeting_id))


class JoinFrame(JoinMeeting, _ParticipantFrame):
    """Join the meeting, or return after being passed over."""

    operation = "meeting.join"

    type: Literal["join"]

    def request(self) -> JoinMeeting:
        """The frame as the request of its operation."""
        return _operation_request(JoinMeeting, self)


class LeaveFrame(_ParticipantFrame):
    """Leave the meeting."""

    operation = "meeting.leave"

    type: Literal["leave"]

    def request(self) -> OneMeeting:
        """The frame as the request of its operation."""
        return OneMeeting(meeting_id=self.meeting_id)


ParticipantFrame = OpinionFrame | ConsensusVote | DirectMessage | JoinFrame | LeaveFrame

MEETING_FRAMES = Frames(
    OpinionFrame, ConsensusVote, DirectMessage, JoinFrame, LeaveFrame, chars_max=MEETING_FRAME_CHARS_MAX
)


def topic_of(meeting_id: str) -> str:
    """The topic of the messages that belong to a meeting."""
    return f"meeting/{meeting_id}"


def connected_frame(caller: Caller, meeting: Meeting, seq: int) -> str:
    """The first frame: the caller, the state of the meeting, and the position in the log."""
    meeting_json = orjson.Fragment(meeting.model_dump_json(include=set(Meeting.model_fields)))
    return server_frame(
        "connected",
        meeting_id=meeting.id,
        agent_id=caller.agent_id,
        agent_name=caller.agent_name,
        role=caller.role,
        seq=seq,
        meeting=meeting_json,
    )


def request_frame(request: MeetingRequest) -> str:
    """The frame of a request to a participant: `opinion_request` or `consensus_request`."""
    return request.model_dump_json(exclude_none=True)


@lru_cache(maxsize=64)  # made once for all sockets of the meeting
def meeting_event_frame(name: str, meeting_id: str, event_json: str) -> str:
    """The frame of an event of the log."""
    event = orjson.loads(event_json)
    fields = {"seq": event["seq"], "at": event["at"], "data": event["data"]}
    return server_frame("meeting_event", event=name, meeting_id=meeting_id, **fields)


def direct_message_frame(meeting_id: str, event: Any) -> str:
    """The frame of a message that was sent to this participant in this meeting."""
    message = event["data"]
    return server_frame(
        "direct_message",
        meeting_id=meeting_id,
        message_id=message["id"],
        sender_id=message["sender_id"],
        sender_name=message["sender_name"],
        receiver_id=event["recipient_id"],
        content=message["body"],
        truncated=message["truncated"],
        seq=event["seq"],
        at=event["at"],
    )


def accepted_frame(frame: ParticipantFrame, answer: OperationResult) -> str:
    """The frame that confirms a participant's frame."""
    fields: dict[str, object] = {"frame": frame.type, "meeting_id": frame.meeting_id}
    if frame.id is not None:
        fields["id"] = frame.id
    if isinstance(answer.result, SentMessage):
        fields["message_id"] = answer.result.id
    if answer.replayed:
        fields["replayed"] = True
    return server_frame("accepted", **fields)


def _operation_request(model: type[Request], frame: Model) -> Request:
    """The fields of a frame that belong to the request of its operation."""
    return model(**{name: getattr(frame, name) for name in model.model_fields})
