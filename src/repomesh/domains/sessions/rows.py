"""Rows of sessions: find, change and count them, and emit their events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, insert, select, update

from repomesh.domains.sessions import rules
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.models import ListedSession, Session, SessionChanged, SessionCounts
from repomesh.domains.sessions.tables import (
    artifacts,
    chunks,
    memories,
    session_participants,
    session_tasks,
    sessions,
)
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_BY_ID = PreparedStatement(
    select(sessions).where(sessions.c.workspace_id == bindparam("ws"), sessions.c.id == bindparam("id"))
)
_JOIN = insert(session_participants)
_COUNTS = select(
    select(func.count()).where(chunks.c.session_uid == bindparam("uid")).scalar_subquery().label("chunks"),
    select(func.coalesce(func.sum(chunks.c.bytes), 0))
    .where(chunks.c.session_uid == bindparam("uid"))
    .scalar_subquery()
    .label("chunk_bytes"),
    select(func.count())
    .where(memories.c.workspace_id == bindparam("ws"), memories.c.session_uid == bindparam("uid"))
    .scalar_subquery()
    .label("memories"),
    select(func.count())
    .where(artifacts.c.session_uid == bindparam("uid"))
    .scalar_subquery()
    .label("artifacts"),
    select(func.count())
    .where(session_tasks.c.session_uid == bindparam("uid"))
    .scalar_subquery()
    .label("tasks"),
)


def find(tx: Transaction, session_id: str) -> Row[Any]:
    """The row of a session of this workspace; raises SessionNotFound."""
    matches = tx.read_cached(_BY_ID, {"ws": tx.workspace_id, "id": session_id})
    if not matches:
        raise SessionNotFound(f"there is no session '{session_id}'")
    row: Row[Any] = matches[0]
    return row


def find_readable(tx: Transaction, session_id: str) -> Row[Any]:
    """The row of a session whose contents may be read; raises SessionNotFound while it is being deleted."""
    row = find(tx, session_id)
    if row.status == "deleting":
        raise SessionNotFound(f"session '{session_id}' is being deleted")
    return row


def in_readable_session(tx: Transaction, uid: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition that a column of session uids names no session that is being deleted or imported."""
    unreadable = sessions.c.workspace_id == tx.workspace_id, sessions.c.status.in_(("deleting", "importing"))
    return uid.not_in(select(sessions.c.uid).where(*unreadable))


def find_active(tx: Transaction, session_id: str) -> Row[Any]:
    """The row of a session that takes further content; raises SessionNotFound or SessionNotActive."""
    row = find(tx, session_id)
    rules.require_allowed("change", row.id, row.status, row.reason)
    return row


def is_there(tx: Transaction, session_id: str) -> bool:
    """Whether a session has this id."""
    return bool(tx.read_cached(_BY_ID, {"ws": tx.workspace_id, "id": session_id}))


def as_session(fields: dict[str, Any]) -> Session:
    """The session from the columns of its row."""
    return Session(**{name: fields[name] for name in Session.model_fields})


def as_listed(row: Row[Any]) -> ListedSession:
    """The session from its row, as in lists."""
    fields = row._asdict()
    return ListedSession(**{name: fields[name] for name in ListedSession.model_fields})


def change(tx: Transaction, row: Row[Any], **columns: Any) -> Session:
    """Write `columns` of a session and its next version number. Returns the changed session."""
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    tx.execute(update(sessions).where(sessions.c.uid == row.uid).values(columns))
    return as_session(row._asdict() | columns)


def replace_participants(tx: Transaction, uid: str, participants: list[str]) -> None:
    """Replace the names by which the session is found as a participant's."""
    tx.execute(delete(session_participants).where(session_participants.c.session_uid == uid))
    if participants:
        key = {"workspace_id": tx.workspace_id, "session_uid": uid}
        tx.execute(_JOIN, [key | {"participant": name} for name in participants])


def emit_changed(tx: Transaction, type_: str, session: Session) -> None:
    """Emit an event of this type with the session as it is now."""
    tx.emit(NewEvent(type_, f"session/{session.id}", SessionChanged(session=session)))


def counts(tx: Transaction, uid: str) -> SessionCounts:
    """How many chunks, bytes of chunks, memories, artifacts and tasks a session has."""
    row = tx.execute(_COUNTS, {"uid": uid, "ws": tx.workspace_id}).one()
    return SessionCounts(**row._asdict())
