"""The frames of the log's socket: subscriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repomesh.domains.messaging.events.models import EventCriteria, EventTypes, StreamEvents
from repomesh.kernel.fields import Position
from repomesh.kernel.limits import LIST_ITEMS_MAX, SOCKET_FRAME_CHARS_MAX
from repomesh.kernel.operation import Model
from repomesh.surfaces.stream.frames import FrameId, Frames


class Subscribe(EventCriteria):
    """Push events that match, from after `after` or from now on."""

    type: Literal["subscribe"]
    id: FrameId
    types: Annotated[tuple[EventTypes, ...], Field(max_length=LIST_ITEMS_MAX)] = Field(
        (), description="These event types and those below them."
    )
    after: Position | None = None

    def request(self) -> StreamEvents:
        """The frame as the request of its operation."""
        criteria = self.model_dump(include=set(EventCriteria.model_fields))
        return StreamEvents(**criteria, type=self.types, after=self.after)


class ResumeFrame(Model):
    """Begin a subscription again behind `after`."""

    type: Literal["resume"]
    id: FrameId
    after: Position


class Unsubscribe(Model):
    """End a subscription."""

    type: Literal["unsubscribe"]
    id: FrameId


LOG_FRAMES = Frames(Subscribe, ResumeFrame, Unsubscribe, chars_max=SOCKET_FRAME_CHARS_MAX)


def event_frame_start(subscription_id: str) -> str:
    """The text before an event's JSON in a frame of this subscription; a closing brace ends the frame."""
    return f'{{"type":"event","subscription":"{subscription_id}","event":'
