"""Lines on what an agent did last, from the log, so that it can continue after its context was lost."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from repomesh.domains.messaging.messages.envelope import BAR
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.cli_hooks.rules import shorten
from repomesh.domains.sessions.rows import in_readable_session
from repomesh.domains.sessions.tables import memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.store.damage import convert_readable
from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import events
from repomesh.store.transaction import Transaction

_LAST = PreparedStatement(
    select(events.c.type, events.c.subject, events.c.at)
    .where(events.c.workspace_id == bindparam("ws"), events.c.actor == bindparam("agent"))
    .order_by(events.c.seq.desc())
    .limit(bindparam("count"))
)
# Events of heartbeats, leases and receipts accompany other events and tell nothing new.
_SHOWN_AREAS = ("task", "memory", "artifact", "session", "question", "review", "meeting", "decision")
_SENT = "message.sent"


def recent_activity_lines(tx: Transaction, agent_id: str, excluded_task_ids: Collection[str]) -> list[str]:
    """One line for each of the newest things that an agent did, without those on `excluded_task_ids`."""
    event_rows = tx.execute(
        _LAST, {"ws": tx.workspace_id, "agent": agent_id, "count": limits.DEEDS_LOOKED_AT}
    )
    newest_by_subject: dict[str, Row[Any]] = {}
    for row in event_rows:
        area, _, subject_id = str(row.subject).partition("/")
        is_shown = row.type == _SENT or str(row.type).partition(".")[0] in _SHOWN_AREAS
        if is_shown and not (area == "task" and subject_id in excluded_task_ids):
            newest_by_subject.setdefault(row.subject, row)
    shown_rows = list(newest_by_subject.values())[: limits.DEEDS_TOLD_MAX]
    if not shown_rows:
        return []
    text_by_subject = _describe_subjects(tx, shown_rows)

    def line(row: Row[Any]) -> str:
        return (
            f"{BAR}{row.at:%m-%d %H:%M} {row.type} {shorten(text_by_subject.get(row.subject, row.subject))}"
        )

    lines = convert_readable(tx, shown_rows, line, lambda row: f"event of {row.subject}")
    return ["What you did last, newest first:", *lines]


def _describe_subjects(tx: Transaction, event_rows: Collection[Row[Any]]) -> dict[str, str]:
    """Describe the subjects of events as they are now, by subject."""
    text_by_subject: dict[str, str] = {}
    for area, look_up in _DESCRIBERS.items():
        prefix = f"{area}/"
        ids = [row.subject.removeprefix(prefix) for row in event_rows if row.subject.startswith(prefix)]
        if ids:
            text_by_subject |= {f"{prefix}{id_}": text for id_, text in look_up(tx, ids).items()}
    return text_by_subject


def _describe_tasks(tx: Transaction, ids: list[str]) -> dict[str, str]:
    criteria = tasks.c.workspace_id == tx.workspace_id, tasks.c.id.in_(ids)
    rows = tx.execute(select(tasks.c.id, tasks.c.goal, tasks.c.status).where(*criteria))
    return {row.id: f"{row.id} ({row.status} now) {row.goal}" for row in rows}


def _describe_messages(tx: Transaction, ids: list[str]) -> dict[str, str]:
    body = func.substr(messages.c.body, 1, limits.RESOURCE_SHOWN_CHARS).label("body")
    criteria = messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(ids)
    rows = tx.execute(
        select(messages.c.id, messages.c.addressed_to, messages.c.subject, body).where(*criteria)
    )
    return {row.id: f"to {', '.join(row.addressed_to[:3])}: {row.subject or row.body}" for row in rows}


def _describe_memories(tx: Transaction, ids: list[str]) -> dict[str, str]:
    columns = memories.c.id, memories.c.type, memories.c.key, memories.c.session_id
    criteria = (
        memories.c.workspace_id == tx.workspace_id,
        memories.c.id.in_(ids),
        in_readable_session(tx, memories.c.session_uid),
    )
    rows = tx.execute(select(*columns).where(*criteria))
    return {row.id: f"{row.type} {row.key} in {row.session_id or 'no session'}" for row in rows}


_DESCRIBERS: dict[str, Callable[[Transaction, list[str]], dict[str, str]]] = {
    "task": _describe_tasks,
    "message": _describe_messages,
    "memory": _describe_memories,
}
