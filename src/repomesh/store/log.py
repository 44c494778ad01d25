"""The event log: appended inside each command's transaction, read in order by everyone else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, insert, select, update

from repomesh.kernel.clock import rfc3339
from repomesh.kernel.errors import DamagedRecord, NoLongerAvailable
from repomesh.kernel.event_types import Severity
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.json_values import stored_json
from repomesh.store.damage import MAYBE_DAMAGE_ERRORS, is_damage, log_once, require_readable
from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import counters, events
from repomesh.store.types import Timestamp, Unreadable

EVERYONE: Literal["workspace"] = "workspace"


@dataclass(frozen=True, slots=True)
class Audience:
    """Who may see an event: the workspace, a channel's members at that time, or the named agents.

    The actor and the workspace's admins see it in any case; of `agents` with no ids nobody else does.
    """

    type: Literal["workspace", "channel", "agents"] = EVERYONE
    agent_ids: tuple[str, ...] = ()

    @property
    def ids_text(self) -> str:
        """The named agents between spaces, so that one can be found with LIKE."""
        return f" {' '.join(self.agent_ids)} " if self.agent_ids else ""


WORKSPACE = Audience()
ADMINS = Audience("agents")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has its number."""

    type: str
    subject: str
    data: BaseModel
    audience: Audience = WORKSPACE
    severity: Severity = "info"
    version: int = 1
    channel_id: str | None = None
    task_id: str | None = None
    recipient_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    hop: int = 0
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of the log, with its JSON text made once for everybody who receives it."""

    workspace_id: str
    seq: int
    id: str
    type: str
    actor: str | None
    audience: Audience
    channel_id: str | None
    task_id: str | None
    recipient_id: str | None
    severity: str
    correlation_id: str
    at: datetime
    json: str


@dataclass(frozen=True, slots=True)
class EventsRead:
    """The events in rows of the log that were read one after another, without those that can't be read.

    `first` and `last` are the numbers of the first and the last row, 0 for no row; `count` and `chars` are of
    all rows; `damaged` are the numbers of the rows that were left out.
    """

    events: list[StoredEvent]
    first: int
    last: int
    count: int
    chars: int
    damaged: tuple[int, ...]


class ClockBehind(Exception):
    """What is to be appended bears a time that is not after the log's last, `last_at`."""

    def __init__(self, last_at: datetime) -> None:
        super().__init__(f"the workspace's last event is of {rfc3339(last_at)}")
        self.last_at = last_at


# The last of an event's fields, and the only place of these signs: inside a text a quote is escaped.
_DATA = ',"data":'
_at = bindparam("at", type_=Timestamp())
_NEXT_SEQ = PreparedStatement(
    update(counters)
    .where(counters.c.workspace_id == bindparam("ws"), counters.c.last_at < _at)
    .values(last_seq=counters.c.last_seq + bindparam("count"), last_at=_at)
    .returning(counters.c.last_seq)
)
_LAST_AT = PreparedStatement(select(counters.c.last_at).where(counters.c.workspace_id == bindparam("ws")))
_APPEND = PreparedStatement(insert(events))
_AFTER = (
    select(events)
    .where(events.c.workspace_id == bindparam("ws"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("count"))
)
_READ = PreparedStatement(_AFTER)
_BOUNDS = PreparedStatement(
    select(counters.c.oldest_seq, counters.c.last_seq).where(counters.c.workspace_id == bindparam("ws"))
)


def event_rows(
    caller: Caller, context: RequestContext, at: datetime, drafts: Sequence[tuple[str, NewEvent]]
) -> list[dict[str, Any]]:
    """The table rows of a command's events, (id, event) each, without their numbers."""
    return [
        {
            "workspace_id": caller.workspace_id,
            "id": id_,
            "type": draft.type,
            "version": draft.version,
            "subject": draft.subject,
            "principal": caller.principal,
            "actor": draft.actor or caller.agent_id,
            "audience": draft.audience.type,
            "audience_ids": draft.audience.ids_text,
            "channel_id": draft.channel_id,
            "task_id": draft.task_id,
            "recipient_id": draft.recipient_id,
            "severity": draft.severity,
            "correlation_id": draft.correlation_id or context.correlation_id or id_,
            "causation_id": draft.causation_id,
            "hop": draft.hop,
            "traceparent": context.traceparent,
            "data": draft.data.model_dump_json(),
            "at": at,
        }
        for id_, draft in drafts
    ]


def append(connection: Connection, workspace_id: str, rows: Sequence[dict[str, Any]]) -> int:
    """Number `rows` in their order and append them to one workspace's log; returns the last number.

    The numbers are gapless and in commit order because the caller holds the workspace's write lock from the
    first statement to the commit. Raises ClockBehind unless the rows' time is after the log's last, so that
    times, and the ids made of them, are in commit order, too; LookupError when the workspace has no log.
    """
    numbered = _NEXT_SEQ.run(
        connection, {"ws": workspace_id, "count": len(rows), "at": rows[-1]["at"]}
    ).one_or_none()
    if numbered is None:
        last_at = last_time(connection, workspace_id)
        if last_at is None:
            raise LookupError(f"the workspace '{workspace_id}' has no log")
        raise ClockBehind(last_at)
    last: int = numbered.last_seq
    for seq, row in enumerate(rows, last - len(rows) + 1):
        row["seq"] = seq
    _APPEND.run(connection, rows)
    return last


def last_time(connection: Connection, workspace_id: str) -> datetime | None:
    """The time of the last event of a workspace's log; None for a workspace that has none."""
    moment: datetime | None = _LAST_AT.run(connection, {"ws": workspace_id}).scalar_one_or_none()
    return moment


def read_after(
    connection: Connection, workspace_id: str, after: int, count: int, chars: int | None = None
) -> EventsRead:
    """Up to `count` events after `after`, in order; no further than the one that reaches to `chars`."""
    parameters = {"ws": workspace_id, "after": after, "count": count}
    if chars is not None and connection.dialect.name == "postgresql":
        sized = within_bytes(connection, _AFTER, events.c.seq, chars)
        return stored_events(connection.execute(sized, parameters), chars)
    rows = _READ.each(connection, parameters)
    with closing(rows):
        return stored_events(rows, chars)


def bounds(connection: Connection, workspace_id: str) -> tuple[int, int]:
    """The oldest number still in the log and the last one given out; (1, 0) for a log that is empty."""
    row = _BOUNDS.run(connection, {"ws": workspace_id}).one_or_none()
    if row is None:
        return 1, 0
    require_readable(row)
    return row.oldest_seq, row.last_seq


def require_kept(after: int, oldest: int) -> None:
    """Raise NoLongerAvailable when events after `after` are gone from a log that begins at `oldest`."""
    if after + 1 < oldest:
        raise NoLongerAvailable(f"the log begins at {oldest}", oldest_seq=oldest)


def within_bytes(
    connection: Connection,
    statement: Select[Any],
    seq: ColumnElement[int],
    chars: int,
    *,
    newest: bool = False,
) -> Select[Any]:
    """The select of events, in the order of `seq`, cut behind the event at which data reaches `chars`.

    There may be up to four bytes to a character. Only PostgreSQL needs that, whose driver takes in the whole
    answer before the first row can be read; it knows the length of a stored text without reading the text.
    """
    if connection.dialect.name != "postgresql":
        return statement
    data = statement.selected_columns["data"]
    seq_order = seq.desc() if newest else seq.asc()
    bytes_before = func.sum(func.octet_length(data)).over(order_by=seq_order, rows=(None, -1)).label("ahead")
    sized = statement.add_columns(bytes_before).subquery()
    sized_order = sized.c.seq.desc() if newest else sized.c.seq.asc()
    columns = [column for column in sized.c if column.name != "ahead"]
    return select(*columns).where(func.coalesce(sized.c.ahead, 0) <= 4 * chars).order_by(sized_order)


def stored_events(rows: Iterable[Row[Any]], chars: int | None = None) -> EventsRead:
    """The events in rows of the table, no further than the one that reaches to `chars` together.

    A row that can't be read is left out, and named in the server's log once.
    """
    events: list[StoredEvent] = []
    damaged: list[int] = []
    first = last = count = size = 0
    for row in rows:
        first, last, count = first or row.seq, row.seq, count + 1
        try:
            events.append(stored_event(row))
            size += len(events[-1].json)
        except DamagedRecord as error:
            damaged.append(row.seq)
            log_once(row.workspace_id, event_name(row.seq), error.message)
        if chars is not None and size >= chars:
            break
    return EventsRead(events, first, last, count, size, tuple(damaged))


def event_name(seq: int) -> str:
    """The name of a damaged event in logs and answers."""
    return f"event/{seq}"


def stored_event(row: Row[Any]) -> StoredEvent:
    """The event in a row of the table; raises DamagedRecord."""
    try:
        return _stored_event(row)
    except MAYBE_DAMAGE_ERRORS as error:
        if not is_damage(error, row):
            raise
        raise damaged_event(row.seq, error) from error


def damaged_event(seq: int, error: Exception) -> DamagedRecord:
    """The error of an event that can't be read."""
    return DamagedRecord(f"the event {seq} can't be read: {error}", record={"seq": seq})


def event_data(row: Row[Any]) -> Any:
    """The data of an event; raises DamagedRecord for what is no JSON object."""
    try:
        data = stored_json(row.data)
    except (TypeError, ValueError) as error:
        raise damaged_event(row.seq, error) from error
    if not isinstance(data, dict):
        raise damaged_event(row.seq, TypeError("its data is no JSON object"))
    return data


def _stored_event(row: Row[Any]) -> StoredEvent:
    fields = event_fields(row)
    event_data(row)  # only to check it: the stored text is passed on as it is
    return StoredEvent(
        workspace_id=row.workspace_id,
        seq=row.seq,
        id=row.id,
        type=row.type,
        actor=row.actor,
        audience=Audience(row.audience, tuple(row.audience_ids.split())),
        channel_id=row.channel_id,
        task_id=row.task_id,
        recipient_id=row.recipient_id,
        severity=row.severity,
        correlation_id=row.correlation_id,
        at=row.at,
        json=orjson.dumps(fields).decode(),
    )


def event_fields(row: Row[Any]) -> dict[str, Any]:
    """The event as every surface shows it; `data` is passed on as the text that was stored."""
    return {
        "seq": row.seq,
        "id": row.id,
        "type": row.type,
        "version": row.version,
        "subject": row.subject,
        "principal": row.principal,
        "actor": row.actor,
        "audience": row.audience,
        "recipient_id": row.recipient_id,
        "channel_id": row.channel_id,
        "task_id": row.task_id,
        "severity": row.severity,
        "correlation_id": row.correlation_id,
        "causation_id": row.causation_id,
        "hop": row.hop,
        "traceparent": row.traceparent,
        "at": rfc3339(row.at),
        "data": orjson.Fragment(row.data),
    }


def raw_fields(row: Row[Any]) -> dict[str, Any]:
    """An event that can't be read, column by column as it is stored; bytes in hexadecimal digits."""
    fields = {}
    for name, value in row._asdict().items():
        raw = value.raw if isinstance(value, Unreadable) else value
        if isinstance(raw, datetime):
            raw = rfc3339(raw)
        fields[str(name)] = raw.hex() if isinstance(raw, bytes) else raw
    return fields


def fields_of(event: StoredEvent) -> dict[str, Any]:
    """The fields of an event; `data` is passed on as the text that was stored, to the last digit."""
    head, _, data = event.json.partition(_DATA)
    fields: dict[str, Any] = orjson.loads(head + "}")
    return fields | {"data": orjson.Fragment(data[:-1])}


def cloud_event(event: dict[str, Any], workspace_id: str) -> dict[str, Any]:
    """An event as CloudEvents 1.0 JSON. Extension attributes may hold lower-case letters and digits only.

    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """
    core = {
        "specversion": "1.0",
        "id": event["id"],
        "source": f"/v1/workspaces/{workspace_id}",
        "type": f"repomesh.{event['type']}",
        "subject": event["subject"],
        "time": event["at"],
        "datacontenttype": "application/json",
        "data": event["data"],
    }
    plain_fields = {"seq", "version", "principal", "actor", "audience", "severity", "hop", "traceparent"}
    reference_fields = {"recipient_id", "channel_id", "task_id", "correlation_id", "causation_id"}
    extensions = {
        name.replace("_", ""): event[name]
        for name in sorted(plain_fields | reference_fields)
        if event.get(name) is not None
    }
    return core | extensions
