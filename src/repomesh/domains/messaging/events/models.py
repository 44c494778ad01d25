"""Models of the event log: events, events that agents post, and queries of the log."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, RootModel, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.messaging.messages.models import ChannelRef
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import Severity, event_type
from repomesh.kernel.fields import Cursor, MaxChars, Page, PageLimit, Position
from repomesh.kernel.ids import Id
from repomesh.kernel.json_values import require_kept
from repomesh.kernel.limits import (
    CORRELATION_CHARS_MAX,
    EVENT_DATA_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    LIST_ITEMS_MAX,
    PAGE_ITEMS_DEFAULT,
)
from repomesh.kernel.operation import Model

_TYPE = r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*"

EventType = Annotated[
    str, StringConstraints(pattern=f"^{_TYPE}$", min_length=1, max_length=EVENT_TYPE_CHARS_MAX)
]
"""Lower-case words with dots between them, such as 'blocker' or 'plan.updated'."""

EventTypes = Annotated[
    str, StringConstraints(pattern=rf"^{_TYPE}(\.\*?)?$", min_length=1, max_length=EVENT_TYPE_CHARS_MAX)
]
"""A type, which also means all types below it: 'chat' is 'chat' and 'chat.message', as is 'chat.*'."""

CorrelationId = Annotated[
    str, StringConstraints(pattern=r"^[\x20-\x7e]+$", min_length=1, max_length=CORRELATION_CHARS_MAX)
]


def _require_bounded(data: dict[str, JsonValue]) -> dict[str, JsonValue]:
    require_kept(data)
    # NaN and infinity are not JSON: if accepted, they would come back as null.
    length = len(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    if length > EVENT_DATA_CHARS_MAX:
        raise ValueError(f"has {length} characters as JSON, the limit is {EVENT_DATA_CHARS_MAX}")
    return data


EventData = Annotated[dict[str, JsonValue], AfterValidator(_require_bounded)]


class Event(Model):
    """An event of the log, as every surface shows it."""

    seq: int = Field(description="Its number in the workspace's log: gapless, in the order of the commits.")
    id: Id
    type: str
    version: int = Field(description="Version of the shape of `data`.")
    subject: str = Field(description="The subject, such as 'task/ID'.")
    principal: str = Field(description="Who is accountable: the role and id of the token.")
    actor: str | None = Field(description="The id of the agent that did it.")
    audience: str = Field(description="Who may see it: 'workspace', 'channel' or 'agents'.")
    recipient_id: str | None
    channel_id: str | None
    task_id: str | None
    severity: Severity
    correlation_id: str
    causation_id: str | None
    hop: int
    traceparent: str | None
    at: Timestamp
    data: dict[str, JsonValue]


class PostEvent(Model):
    """An event of your own. Without a recipient or a channel the whole workspace may see it."""

    type: EventType = Field(description="Such as 'chat.message', 'blocker' or 'plan.updated'.")
    severity: Severity = "info"
    task_id: Id | None = Field(None, description="The task that it is about.")
    recipient_id: AgentRef | None = Field(None, description="The agent that alone may see it: name or id.")
    channel: ChannelRef | None = Field(None, description="The channel whose members alone may see it.")
    correlation_id: CorrelationId | None = Field(
        None, description="Ties events of one matter together; X-Correlation-Id or its own id if absent."
    )
    data: EventData = Field(
        default_factory=dict, description=f"A JSON object of up to {EVENT_DATA_CHARS_MAX} characters."
    )


class PostedEvent(Model):
    """Where the event stands in the log."""

    id: Id
    seq: int = Field(description="Its number in the log: `after` one less finds it.")
    type: str
    at: Timestamp


class PostedData(RootModel[dict[str, JsonValue]]):
    """The data of a posted event, as its sender wrote it."""


class EventCriteria(Model):
    """Filters of events; an absent field matches every event."""

    recipient_id: Id | None = Field(
        None, description="Only events addressed to this agent, alone or with others."
    )
    channel: ChannelRef | None = Field(None, description="Only events of this channel.")
    agent_id: Id | None = Field(None, description="Only events caused by this agent.")
    task_id: Id | None = None
    severity: Severity | None = None
    correlation_id: CorrelationId | None = None
    since: Timestamp | None = Field(None, description="Not before this time.")
    until: Timestamp | None = Field(None, description="Before this time.")


_Types = Annotated[tuple[EventTypes, ...], Field(max_length=LIST_ITEMS_MAX)]


class ListEvents(EventCriteria):
    """Which events to list."""

    type: _Types = Field((), description="These types and those below them: 'chat' finds 'chat.message'.")
    after: Position | None = Field(None, description="Only events behind this `seq`.")
    newest: bool = Field(False, description="Newest first.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class EventPage(Page[Event]):
    """One page of the log, and how far the log reaches."""

    oldest_seq: int = Field(description="The first number that is still there; earlier ones are archived.")
    last_seq: int = Field(description="The last number that was given out.")


class ShowEvent(Model):
    """One event, by its number."""

    seq: Annotated[Position, Field(ge=1)]


class StreamEvents(EventCriteria):
    """Which events to push, and from where on."""

    type: _Types = Field((), description="These types and those below them.")
    after: Position | None = Field(
        None, description="Go on behind this `seq`; from now on when absent. Last-Event-ID says the same."
    )


class PruneLog(Model):
    """Move old events from the log to an archive."""

    before: Timestamp | Position = Field(
        description="Events that happened before this time, or whose `seq` is below this number."
    )


class PrunedLog(Model):
    """The events that one call moved. Repeat it until `complete`: each call moves a bounded number."""

    events: int = Field(description="How many were moved.")
    path: str | None = Field(
        description="The archive on the server's machine: gzipped CloudEvents, one a line."
    )
    oldest_seq: int = Field(description="The first number that is still in the log.")
    complete: bool = Field(description="Whether nothing older than asked for is left.")


LOG_PRUNED = event_type("log.pruned", PrunedLog, "Old events were moved to the archive.")
