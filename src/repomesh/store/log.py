"""The event log: appended inside each command's transaction, read in order by everyone else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from repomesh.kernel.clock import rfc3339
from repomesh.kernel.errors import Gone
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.ids import new_id
from repomesh.store.prepared import Prepared
from repomesh.store.tables import counters, events

Severity = Literal["debug", "info", "warning", "error", "critical"]

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
    id: str = field(default_factory=new_id)


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


_NEXT_SEQ = Prepared(
    update(counters)
    .where(counters.c.workspace_id == bindparam("ws"))
    .values(last_seq=counters.c.last_seq + bindparam("count"))
    .returning(counters.c.last_seq)
)
_APPEND = Prepared(insert(events))
_READ = Prepared(
    select(events)
    .where(events.c.workspace_id == bindparam("ws"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("count"))
)
_BOUNDS = Prepared(
    select(counters.c.oldest_seq, counters.c.last_seq).where(counters.c.workspace_id == bindparam("ws"))
)


def rows_of(
    caller: Caller, context: RequestContext, at: datetime, drafts: Sequence[NewEvent]
) -> list[dict[str, Any]]:
    """What a command's events will be in the table, but for their numbers."""
    return [
        {
            "workspace_id": caller.workspace_id,
            "id": draft.id,
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
            "correlation_id": draft.correlation_id or context.correlation_id or draft.id,
            "causation_id": draft.causation_id,
            "hop": draft.hop,
            "traceparent": context.traceparent,
            "data": draft.data.model_dump_json(),
            "at": at,
        }
        for draft in drafts
    ]


def append(connection: Connection, workspace_id: str, rows: Sequence[dict[str, Any]]) -> int:
    """Number `rows` in their order and append them to one workspace's log; answers the last number.

    The numbers are gapless and in commit order because whoever calls holds the workspace's write lock from
    the first statement to the commit.
    """
    last: int = _NEXT_SEQ.run(connection, {"ws": workspace_id, "count": len(rows)}).scalar_one()
    for seq, row in enumerate(rows, last - len(rows) + 1):
        row["seq"] = seq
    _APPEND.run(connection, rows)
    return last


def read_after(connection: Connection, workspace_id: str, after: int, count: int) -> list[StoredEvent]:
    """Up to `count` events behind `after`, in order."""
    rows = _READ.run(connection, {"ws": workspace_id, "after": after, "count": count})
    return [stored_event(row) for row in rows]


def bounds(connection: Connection, workspace_id: str) -> tuple[int, int]:
    """The oldest number still in the log and the last one given out; (1, 0) for a log that is empty."""
    row = _BOUNDS.run(connection, {"ws": workspace_id}).one_or_none()
    return (1, 0) if row is None else (row.oldest_seq, row.last_seq)


def require_kept(after: int, oldest: int) -> None:
    """Raise Gone when events behind `after` are no longer in a log that begins at `oldest`."""
    if after + 1 < oldest:
        raise Gone(f"the log begins at {oldest}", oldest_seq=oldest)


def stored_event(row: Row[Any]) -> StoredEvent:
    """The event in a row of the table."""
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
        json=orjson.dumps(event_fields(row)).decode(),
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
    carried = {"seq", "version", "principal", "actor", "audience", "severity", "hop", "traceparent"}
    named = {"recipient_id", "channel_id", "task_id", "correlation_id", "causation_id"}
    extensions = {
        name.replace("_", ""): event[name] for name in sorted(carried | named) if event.get(name) is not None
    }
    return core | extensions
