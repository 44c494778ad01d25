"""The words of minutes and replays."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from repomesh.domains.meetings.models import MeetingDetail, OneMeeting
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Cursor, DetailChars, PageLimit, Position
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

Speed = Annotated[
    float,
    Field(
        ge=limits.MEETING_REPLAY_SPEED_MIN,
        le=limits.MEETING_REPLAY_SPEED_MAX,
        description="Offsets are divided by it: 60 plays an hour in a minute.",
    ),
]


class WriteMinutes(OneMeeting):
    """The minutes of a meeting."""

    format: Literal["markdown", "json"] = "markdown"
    max_chars: DetailChars | None = None


class Minutes(Model):
    """The minutes of a meeting: as a text, or with every figure."""

    meeting_id: Id
    format: Literal["markdown", "json"]
    markdown: str | None
    meeting: MeetingDetail | None


class ReplayMeeting(OneMeeting):
    """What happened in a meeting, in its order."""

    speed: Speed = 1.0
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT


class StreamReplay(OneMeeting):
    """What happened in a meeting, each event in its time."""

    speed: Speed = 1.0
    after: Position | None = Field(None, description="Begin behind this event.")


class ReplayedEvent(Model):
    """One event of a meeting, and its time in the replay."""

    seq: int = Field(description="Its number in the event log.")
    offset_s: float = Field(description="Seconds after the meeting was called, divided by the speed.")
    type: str
    actor: Id | None
    at: Timestamp
    data: dict[str, Any] = Field(description="As in the event log.")
