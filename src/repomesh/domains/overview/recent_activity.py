"""What an agent did last, in lines, from the log: how it picks up the thread after it forgot."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Row, bindparam, func, select

from repomesh.domains.messaging.messages.envelope import BAR
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.hook_rules import shown
from repomesh.domains.sessions.rows import in_readable_session
from repomesh.domains.sessions.tables import memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.store.damage import readable
from repomesh.store.prepared import Prepared
from repomesh.store.tables import events
from repomesh.store.transaction import Transaction

_LAST = Prepared(
    select(events.c.type, events.c.subject, events.c.at)
    .where(events.c.workspace_id == bindparam("ws"), events.c.actor == bindparam("agent"))
    .order_by(events.c.seq.desc())
    .limit(bindparam("count"))
)
# Signs of life, leases and receipts come with everything else and say nothing of their own.
_TOLD = ("task", "memory", "artifact", "session", "question", "review", "meeting", "decision")
_SENT = "message.sent"


def last_deeds(tx: Transaction, agent_id: str, besides: Collection[str]) -> list[str]:
    """Lines on the newest things that an agent did, one for each, without the tasks in `besides`."""
    found = tx.execute(_LAST, {"ws": tx.workspace_id, "agent": agent_id, "count": limits.DEEDS_LOOKED_AT})
    newest: dict[str, Row[Any]] = {}
    for row in found:
        area, _, subject_id = str(row.subject).partition("/")
        worth = row.type == _SENT or str(row.type).partition(".")[0] in _TOLD
        if worth and not (area == "task" and subject_id in besides):
            newest.setdefault(row.subject, row)
    some = list(newest.values())[: limits.DEEDS_TOLD_MAX]
    if not some:
        return []
    about = _about(tx, some)

    def line(row: Row[Any]) -> str:
        return f"{BAR}{row.at:%m-%d %H:%M} {row.type} {shown(about.get(row.subject, row.subject))}"

    lines = readable(tx, some, line, lambda row: f"event of {row.subject}")
    return ["What you did last, newest first:", *lines]


def _about(tx: Transaction, some: Collection[Row[Any]]) -> dict[str, str]:
    """What is known by now of the subjects of some events."""
    told: dict[str, str] = {}
    for area, look_up in _LOOK_UP.items():
        prefix = f"{area}/"
        ids = [row.subject.removeprefix(prefix) for row in some if row.subject.startswith(prefix)]
        if ids:
            told |= {f"{prefix}{id_}": text for id_, text in look_up(tx, ids).items()}
    return told


def _tasks(tx: Transaction, ids: list[str]) -> dict[str, str]:
    here = tasks.c.workspace_id == tx.workspace_id, tasks.c.id.in_(ids)
    rows = tx.execute(select(tasks.c.id, tasks.c.goal, tasks.c.status).where(*here))
    return {row.id: f"{row.id} ({row.status} now) {row.goal}" for row in rows}


def _messages(tx: Transaction, ids: list[str]) -> dict[str, str]:
    body = func.substr(messages.c.body, 1, limits.RESOURCE_SHOWN_CHARS).label("body")
    here = messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(ids)
    rows = tx.execute(select(messages.c.id, messages.c.addressed_to, messages.c.subject, body).where(*here))
    return {row.id: f"to {', '.join(row.addressed_to[:3])}: {row.subject or row.body}" for row in rows}


def _memories(tx: Transaction, ids: list[str]) -> dict[str, str]:
    columns = memories.c.id, memories.c.type, memories.c.key, memories.c.session_id
    here = (
        memories.c.workspace_id == tx.workspace_id,
        memories.c.id.in_(ids),
        in_readable_session(tx, memories.c.session_uid),
    )
    rows = tx.execute(select(*columns).where(*here))
    return {row.id: f"{row.type} {row.key} in {row.session_id or 'no session'}" for row in rows}


_LOOK_UP: dict[str, Callable[[Transaction, list[str]], dict[str, str]]] = {
    "task": _tasks,
    "message": _messages,
    "memory": _memories,
}
