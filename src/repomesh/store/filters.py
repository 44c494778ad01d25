"""Which events a reader sees: one filter, as SQL for reading the log and as a test for pushing from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from repomesh.kernel.identity import Caller, Role
from repomesh.kernel.limits import STREAM_READ_CHARS, STREAM_READ_EVENTS, STREAM_SCAN_EVENTS
from repomesh.store.log import StoredEvent, bounds, require_kept, stored_events, within_bytes
from repomesh.store.tables import events


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The events that a reader requests, within those that its caller may see. An empty field matches all.

    `types` match whole or as a dotted prefix: `chat` finds `chat` and `chat.message`.
    """

    workspace_id: str
    reader: str | None
    sees_all: bool = False
    sees_channels: bool = False
    types: tuple[str, ...] = ()
    recipient_id: str | None = None
    channel_id: str | None = None
    agent_id: str | None = None
    task_id: str | None = None
    severity: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, event: StoredEvent) -> bool:
        """Whether a pushed event matches the filter."""
        return (
            self._is_visible(event)
            and (
                not self.types or any(_has_type(event.type, requested_type) for requested_type in self.types)
            )
            and (self.recipient_id is None or self._is_addressed(event))
            and (self.channel_id is None or self.channel_id == event.channel_id)
            and (self.agent_id is None or self.agent_id == event.actor)
            and (self.task_id is None or self.task_id == event.task_id)
            and (self.severity is None or self.severity == event.severity)
            and (self.correlation_id is None or self.correlation_id == event.correlation_id)
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )

    def where(self) -> ColumnElement[bool]:
        """The filter as a condition on the events table."""
        table = events.c
        conditions: list[ColumnElement[bool]] = [table.workspace_id == self.workspace_id]
        if not self.sees_all:
            conditions.append(self._visibility_condition())
        if self.types:
            conditions.append(or_(*(_type_condition(requested_type) for requested_type in self.types)))
        if self.recipient_id is not None:
            in_audience = table.audience_ids.like(f"% {self.recipient_id} %")
            conditions.append(or_(table.recipient_id == self.recipient_id, in_audience))
        for name, column in (("agent_id", table.actor), ("channel_id", table.channel_id)):
            if (value := getattr(self, name)) is not None:
                conditions.append(column == value)
        for name in ("task_id", "severity", "correlation_id"):
            if (value := getattr(self, name)) is not None:
                conditions.append(table[name] == value)
        if self.severity not in (None, "info"):
            conditions.append(
                table.severity != "info"
            )  # what the index holds, which a planner does not infer
        if self.since is not None:
            conditions.append(table.at >= self.since)
        if self.until is not None:
            conditions.append(table.at < self.until)
        return and_(*conditions)

    def _is_visible(self, event: StoredEvent) -> bool:
        audience = event.audience
        return (
            self.sees_all
            or audience.type == "workspace"
            or (audience.type == "channel" and self.sees_channels)
            or (self.reader is not None and (event.actor == self.reader or self.reader in audience.agent_ids))
        )

    def _visibility_condition(self) -> ColumnElement[bool]:
        table = events.c
        alternatives: list[ColumnElement[bool]] = [table.audience == "workspace"]
        if self.sees_channels:
            alternatives.append(table.audience == "channel")
        if self.reader is not None:
            alternatives += [table.actor == self.reader, table.audience_ids.like(f"% {self.reader} %")]
        return or_(*alternatives)

    def _is_addressed(self, event: StoredEvent) -> bool:
        return self.recipient_id == event.recipient_id or self.recipient_id in event.audience.agent_ids


def filter_for(caller: Caller, **criteria: object) -> EventFilter:
    """The filter of what `caller` may see, narrowed by `criteria`.

    The owner sees everything unless it acts as an agent; an observer sees what the workspace and its
    channels see; an agent what is addressed to it or done by it, too.
    """
    return EventFilter(
        workspace_id=caller.workspace_id,
        reader=caller.agent_id,
        sees_all=caller.is_admin and caller.agent_id is None,
        sees_channels=caller.role is Role.OBSERVER,
        **criteria,  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class LogSlice:
    """A part of the log: the events that match, and `upto`, the last number that was read.

    `damaged` are the numbers of the matching events that can't be read.
    """

    events: list[StoredEvent]
    upto: int
    damaged: tuple[int, ...] = ()


def read_matching(
    connection: Connection, event_filter: EventFilter, after: int, count: int = STREAM_READ_EVENTS
) -> LogSlice:
    """Up to `count` matching events after `after`, among the next STREAM_SCAN_EVENTS of the log.

    Raises NoLongerAvailable when the log was pruned beyond `after`.
    """
    oldest, last = bounds(connection, event_filter.workspace_id)
    require_kept(after, oldest)
    upto = min(last, after + STREAM_SCAN_EVENTS)
    in_range = events.c.seq > after, events.c.seq <= upto
    statement = select(events).where(event_filter.where(), *in_range).order_by(events.c.seq)
    sized = within_bytes(connection, statement.limit(count), events.c.seq, STREAM_READ_CHARS)
    with connection.execute(sized) as rows:
        matches = stored_events(rows, STREAM_READ_CHARS)
    if matches.count == count or matches.chars >= STREAM_READ_CHARS:
        upto = matches.last  # there may be more
    return LogSlice(matches.events, upto, matches.damaged)


def type_prefix(requested_type: str) -> str:
    """The type in a filter without a trailing `.*` or `*`."""
    return requested_type.removesuffix("*").removesuffix(".")


def _has_type(type_: str, requested_type: str) -> bool:
    prefix = type_prefix(requested_type)
    return type_ == prefix or type_.startswith(prefix + ".")


def _type_condition(requested_type: str) -> ColumnElement[bool]:
    prefix = type_prefix(requested_type)
    # '/' follows '.' in ASCII, so the range holds exactly the types that begin with 'prefix.'.
    return or_(events.c.type == prefix, and_(events.c.type >= prefix + ".", events.c.type < prefix + "/"))
