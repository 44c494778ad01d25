"""Operations on sessions: create, list, show, update, pause, resume, complete, delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, insert, select

from repomesh.domains.agents.rows import canonical_agent_names
from repomesh.domains.sessions import erasing, importing, rows, rules
from repomesh.domains.sessions.errors import (
    NotYourSession,
    SessionExists,
    SessionNotActive,
    SessionNotFound,
)
from repomesh.domains.sessions.importing import STAGED
from repomesh.domains.sessions.models import (
    SESSION_COMPLETED,
    SESSION_CREATED,
    SESSION_DELETING,
    SESSION_PAUSED,
    SESSION_RESUMED,
    SESSION_UPDATED,
    ChangeStatus,
    CreateSession,
    DeletedSession,
    DeleteSession,
    ErasedContents,
    ErasedSessions,
    EraseSessions,
    ListedSession,
    ListSessions,
    OneSession,
    Session,
    SessionDeleting,
    SessionDetail,
    UpdateSession,
)
from repomesh.domains.sessions.tables import DELETING, session_participants, sessions
from repomesh.kernel import limits
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Delete, Due, Get, Patch, Post, command, query
from repomesh.store.due import before, due_in_each, due_now
from repomesh.store.listing import Listing, at_least, equals
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_CHANGE_ERRORS = (SessionNotFound, SessionNotActive)


@command(
    "session.create", http=Post("/v1/sessions", status=201), scope="sessions:write", errors=(SessionExists,)
)
def create_session(tx: Transaction, request: CreateSession) -> Session:
    """Create a session with an id of your choice."""
    if rows.is_there(tx, request.session_id):
        raise SessionExists(f"there is a session '{request.session_id}' already")
    participants = canonical_agent_names(tx, request.participants)
    fields: dict[str, Any] = {
        "uid": tx.new_id(),
        "workspace_id": tx.workspace_id,
        "id": request.session_id,
        "title": request.title or request.session_id,
        "participants": participants,
        "context": request.context,
        "metadata": request.metadata,
        "status": "active",
        "reason": "",
        "created_by": tx.caller.agent_name,
        "created_by_id": tx.caller.agent_id,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
        "erased": None,
    }
    tx.execute(insert(sessions), fields)
    rows.replace_participants(tx, fields["uid"], participants)
    session = rows.as_session(fields)
    rows.emit_changed(tx, SESSION_CREATED, session)
    return session


def _has_participant(tx: Transaction, participant: str) -> ColumnElement[bool]:
    part = session_participants.c
    names = [participant, *canonical_agent_names(tx, [participant])]
    session_uids = select(part.session_uid).where(
        part.workspace_id == tx.workspace_id, part.participant.in_(names)
    )
    return sessions.c.uid.in_(session_uids)


_LISTING = Listing(
    Page[ListedSession],
    rows.as_listed,
    keys=(sessions.c.uid,),
    descending=True,
    filters={
        "status": equals(sessions.c.status),
        "since": at_least(sessions.c.created_at),
        "participant": _has_participant,
    },
)


@query("session.list", http=Get("/v1/sessions"), scope="sessions:read")
def list_sessions(tx: Transaction, request: ListSessions) -> Page[ListedSession]:
    """List sessions, newest first."""
    table = sessions.c
    statement = select(sessions).where(
        table.workspace_id == tx.workspace_id, ~table.id.startswith(STAGED, autoescape=True)
    )
    return _LISTING.read(tx, statement, request)


@query(
    "session.show", http=Get("/v1/sessions/{session_id}"), scope="sessions:read", errors=(SessionNotFound,)
)
def show_session(tx: Transaction, request: OneSession) -> SessionDetail:
    """Show a session and how many chunks, memories, artifacts and tasks it has."""
    row = rows.find(tx, request.session_id)
    session = rows.as_session(row._asdict())
    return SessionDetail(**session.model_dump(), counts=rows.counts(tx, row.uid))


@command(
    "session.update",
    http=Patch("/v1/sessions/{session_id}"),
    scope="sessions:write",
    errors=(*_CHANGE_ERRORS, Stale),
)
def update_session(tx: Transaction, request: UpdateSession) -> Session:
    """Update the fields of a session. With If-Match only that version is changed."""
    row = rows.find_active(tx, request.session_id)
    tx.check_version(row.version)
    columns = request.model_dump(exclude={"session_id"}, exclude_none=True)
    if request.participants is not None:
        columns["participants"] = canonical_agent_names(tx, request.participants)
    columns = changed_values(columns, row)
    if not columns:
        return rows.as_session(row._asdict())
    if "participants" in columns:
        rows.replace_participants(tx, row.uid, columns["participants"])
    session = rows.change(tx, row, **columns)
    rows.emit_changed(tx, SESSION_UPDATED, session)
    return session


@command(
    "session.pause",
    http=Post("/v1/sessions/{session_id}/pause"),
    scope="sessions:write",
    errors=_CHANGE_ERRORS,
)
def pause_session(tx: Transaction, request: ChangeStatus) -> Session:
    """Pause a session: it accepts nothing further until it is resumed."""
    return _change_status(tx, request, "pause", SESSION_PAUSED)


@command(
    "session.resume",
    http=Post("/v1/sessions/{session_id}/resume"),
    scope="sessions:write",
    errors=_CHANGE_ERRORS,
)
def resume_session(tx: Transaction, request: ChangeStatus) -> Session:
    """Resume a paused session."""
    return _change_status(tx, request, "resume", SESSION_RESUMED)


@command(
    "session.complete",
    http=Post("/v1/sessions/{session_id}/complete"),
    scope="sessions:write",
    errors=_CHANGE_ERRORS,
)
def complete_session(tx: Transaction, request: ChangeStatus) -> Session:
    """Complete a session. It stays as it is, to be read and searched."""
    return _change_status(tx, request, "complete", SESSION_COMPLETED)


@command(
    "session.delete",
    http=Delete("/v1/sessions/{session_id}"),
    scope="sessions:write",
    errors=(*_CHANGE_ERRORS, NotYourSession),
)
def delete_session(tx: Transaction, request: DeleteSession) -> DeletedSession:
    """Delete a session with its chunks, memories, artifacts and unfinished tasks.

    For its creator or the owner. From now on nobody can read anything of it: its events stay, without what
    they quoted. A large session is deleted in pieces, and nothing in it can be changed meanwhile. Each
    further call deletes one more piece.
    """
    row = rows.find(tx, request.session_id)
    caller = tx.caller
    if not (caller.is_admin and caller.agent_id is None) and caller.agent_id != row.created_by_id:
        raise NotYourSession(f"session '{row.id}' was created by {row.created_by or 'the owner'}")
    is_deleting = row.status == "deleting"
    erased_before, reason = (
        (ErasedContents(**row.erased), row.reason) if is_deleting else (ErasedContents(), request.reason)
    )
    if not is_deleting:
        erasing.conceal(tx, row)
        row = rows.find(tx, request.session_id)
    piece = erasing.erase(tx, row, erased_before, reason)
    if is_deleting and not piece.done:
        erasing.save_progress(tx, row.uid, piece.erased)
    elif not piece.done:
        session = rows.change(
            tx, row, status="deleting", reason=request.reason, erased=piece.erased.model_dump()
        )
        tx.emit(NewEvent(SESSION_DELETING, f"session/{row.id}", SessionDeleting(session=session)))
    return DeletedSession(session_id=row.id, done=piece.done, erased=piece.erased)


_DELETING = due_now(sessions.c.workspace_id, DELETING)
_ABANDONED = due_in_each(
    sessions.c.workspace_id,
    sessions.c.status == "importing",
    sessions.c.updated_at < before(limits.IMPORT_KEPT_S),
)


@command(
    "session.erase",
    scope="workspace:admin",
    due=(
        Due(lambda _: _DELETING, every_s=limits.SWEEP_CHANGES_S, on_change=True),
        Due(lambda _: _ABANDONED, every_s=limits.HOUSEKEEPING_S),
    ),
)
def erase_sessions(tx: Transaction, request: EraseSessions) -> ErasedSessions:
    """Delete one more bounded piece of the oldest session that is being deleted."""
    importing.drop_abandoned(tx)
    statement = select(sessions).where(sessions.c.workspace_id == tx.workspace_id, DELETING)
    row = tx.execute(statement.order_by(sessions.c.uid).limit(1)).one_or_none()
    if row is None:
        return ErasedSessions(sessions=0, rows=0, complete=True)
    erased = ErasedContents(**row.erased)
    piece = erasing.erase(tx, row, erased, row.reason)
    if not piece.done:
        erasing.save_progress(tx, row.uid, piece.erased)
    return ErasedSessions(sessions=int(piece.done), rows=piece.rows, complete=False)


def _change_status(tx: Transaction, request: ChangeStatus, action: rules.Action, event: str) -> Session:
    row = rows.find(tx, request.session_id)
    rules.require_allowed(action, row.id, row.status, row.reason)
    session = rows.change(tx, row, status=rules.LEADS_TO[action], reason=request.reason)
    rows.emit_changed(tx, event, session)
    return session
