"""Sessions as rows: found, made, changed, told of."""

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
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_BY_ID = Prepared(
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
    found = tx.read_cached(_BY_ID, {"ws": tx.workspace_id, "id": session_id})
    if not found:
        raise SessionNotFound(f"there is no session '{session_id}'")
    row: Row[Any] = found[0]
    return row


def find_readable(tx: Transaction, session_id: str) -> Row[Any]:
    """The row of a session whose contents may be read; raises SessionNotFound while it is being deleted."""
    row = find(tx, session_id)
    if row.status == "deleting":
        raise SessionNotFound(f"session '{session_id}' is being deleted")
    return row


def kept(tx: Transaction, uid: ColumnElement[Any]) -> ColumnElement[bool]:
    """That a column names no session which is being deleted or imported, whose contents nobody reads."""
    going = sessions.c.workspace_id == tx.workspace_id, sessions.c.status.in_(("deleting", "importing"))
    return uid.not_in(select(sessions.c.uid).where(*going))


def find_active(tx: Transaction, session_id: str) -> Row[Any]:
    """The row of a session that takes further content; raises SessionNotFound or SessionNotActive."""
    row = find(tx, session_id)
    rules.require_allowed("change", row.id, row.status, row.reason)
    return row


def is_there(tx: Transaction, session_id: str) -> bool:
    """Whether a session has this id."""
    return bool(tx.read_cached(_BY_ID, {"ws": tx.workspace_id, "id": session_id}))


def as_session(fields: dict[str, Any]) -> Session:
    """The session in the columns of a row."""
    return Session(**{name: fields[name] for name in Session.model_fields})


def as_listed(row: Row[Any]) -> ListedSession:
    """The session in a row of a list."""
    fields = row._asdict()
    return ListedSession(**{name: fields[name] for name in ListedSession.model_fields})


def change(tx: Transaction, row: Row[Any], **columns: Any) -> Session:
    """Write `columns` of a session and its new version; answers what it is now."""
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    tx.execute(update(sessions).where(sessions.c.uid == row.uid).values(columns))
    return as_session(row._asdict() | columns)


def replace_participants(tx: Transaction, uid: str, participants: list[str]) -> None:
    """Have the session found by those who take part in it, and by nobody else."""
    tx.execute(delete(session_participants).where(session_participants.c.session_uid == uid))
    if participants:
        mark = {"workspace_id": tx.workspace_id, "session_uid": uid}
        tx.execute(_JOIN, [mark | {"participant": name} for name in participants])


def emit_changed(tx: Transaction, type_: str, session: Session) -> None:
    """Append what a session has become."""
    tx.emit(NewEvent(type_, f"session/{session.id}", SessionChanged(session=session)))


def counts(tx: Transaction, uid: str) -> SessionCounts:
    """How much hangs on a session."""
    row = tx.execute(_COUNTS, {"uid": uid, "ws": tx.workspace_id}).one()
    return SessionCounts(**row._asdict())
