"""Deleting a session: all that hangs on it, in bounded pieces, so that the writer never stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Row, delete, literal, select, union_all, update

from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import chunks as chunk_rows
from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.artifact_models import ARTIFACT_ADDED
from repomesh.domains.sessions.chunk_models import SESSION_CHUNKS_ADDED
from repomesh.domains.sessions.import_models import SESSION_IMPORTED
from repomesh.domains.sessions.importing import is_staged
from repomesh.domains.sessions.memory_models import EVENTS
from repomesh.domains.sessions.models import (
    SESSION_COMPLETED,
    SESSION_CREATED,
    SESSION_DELETED,
    SESSION_PAUSED,
    SESSION_RESUMED,
    SESSION_TASK_DELEGATED,
    SESSION_UPDATED,
    ErasedContents,
    SessionDeleted,
)
from repomesh.domains.sessions.tables import (
    artifact_versions,
    artifacts,
    chunks,
    memories,
    memory_vectors,
    memory_versions,
    session_participants,
    session_summaries,
    session_tasks,
    sessions,
)
from repomesh.domains.tasks import finishing
from repomesh.domains.tasks.models import CancelTask
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.store.log import NewEvent
from repomesh.store.redacting import erase_answers, redact_events
from repomesh.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class ErasedPiece:
    """What one piece of a deletion did: whether it was the last, all that is gone so far, its own rows."""

    done: bool
    erased: ErasedContents
    rows: int


def erase(tx: Transaction, session: Row[Any], erased: ErasedContents, reason: str) -> ErasedPiece:
    """Delete up to ERASED_ROWS_MAX rows of a session; with the last of them the session itself."""
    left = limits.ERASED_ROWS_MAX
    for step in _STEPS:
        gone, erased = step(tx, session.uid, left, erased)
        left -= gone
        if left <= 0:
            return ErasedPiece(False, erased, limits.ERASED_ROWS_MAX)
    tx.execute(delete(sessions).where(sessions.c.uid == session.uid))
    if is_staged(session.id):  # nobody saw it, so nobody is told
        return ErasedPiece(True, erased, limits.ERASED_ROWS_MAX - left)
    gone_for_good = SessionDeleted(session_id=session.id, reason=reason, erased=erased)
    tx.emit(NewEvent(SESSION_DELETED, f"session/{session.id}", gone_for_good))
    return ErasedPiece(True, erased, limits.ERASED_ROWS_MAX - left)


def remember(tx: Transaction, uid: str, erased: ErasedContents) -> None:
    """Keep how far a deletion is."""
    tx.execute(update(sessions).where(sessions.c.uid == uid).values(erased=erased.model_dump()))


def conceal(tx: Transaction, session: Row[Any]) -> None:
    """Have nothing of a session's contents be read any more, before its rows go piece by piece.

    In this transaction its events lose what they quote, and so do answers under Idempotency-Keys; what a
    model wrote of it goes, and the session itself keeps its id alone.
    """
    whole = [literal("memory/") + memories.c.id]
    subjects: CompoundSelect[tuple[str]] = union_all(
        select(literal(f"session/{session.id}")),
        select(*whole).where(
            memories.c.workspace_id == tx.workspace_id, memories.c.session_uid == session.uid
        ),
        select(literal("artifact/") + artifacts.c.id).where(artifacts.c.session_uid == session.uid),
    )
    redact_events(tx, _QUOTING, subjects, reason="its session was deleted", session_id=session.id)
    erase_answers(tx, _ANSWERING, [f'"session_id":"{session.id}"', f'"id":"{session.id}"'])
    for table in (session_participants, session_summaries):
        tx.execute(delete(table).where(table.c.session_uid == session.uid))
    bare = {"title": session.id, "participants": [], "context": {}, "metadata": {}}
    tx.execute(update(sessions).where(sessions.c.uid == session.uid).values(bare))


_QUOTING = (
    SESSION_CREATED,
    SESSION_UPDATED,
    SESSION_PAUSED,
    SESSION_RESUMED,
    SESSION_COMPLETED,
    SESSION_IMPORTED,
    SESSION_CHUNKS_ADDED,
    SESSION_TASK_DELEGATED,
    ARTIFACT_ADDED,
    *EVENTS.values(),
)
"""The events that quote what is kept in a session."""

_ANSWERING = ("session.", "chunk.", "memory.", "artifact.", "batch.")
"""The operations whose answers quote it."""

_Step = Callable[[Transaction, str, int, ErasedContents], tuple[int, ErasedContents]]
"""Of (transaction, session, rows at most, what is gone so far): the rows it deleted, and what is gone now.

It deletes fewer than it may only when nothing is left, or when the contents are large; then it says that it
used up all it may.
"""


def _tasks(tx: Transaction, uid: str, most: int, erased: ErasedContents) -> tuple[int, ErasedContents]:
    """Cancel what is not finished; the tasks stay on the board, where others may depend on them."""
    linked = (
        select(session_tasks.c.task_id, tasks.c.status)
        .join(tasks, tasks.c.id == session_tasks.c.task_id)
        .where(session_tasks.c.session_uid == uid)
    )
    found = tx.execute(linked.limit(most)).all()
    for row in found:
        if row.status in ("open", "claimed", "blocked"):
            finishing.cancel(tx, CancelTask(task_id=row.task_id, reason="its session was deleted"))
    ids = [row.task_id for row in found]
    here = session_tasks.c.session_uid == uid, session_tasks.c.task_id.in_(ids)
    tx.execute(delete(session_tasks).where(*here))
    return len(ids), _grown(erased, tasks=len(ids), task_ids=ids)


def _chunks(tx: Transaction, uid: str, most: int, erased: ErasedContents) -> tuple[int, ErasedContents]:
    listed = select(chunks.c.sequence, chunks.c.id, chunks.c.bytes).where(chunks.c.session_uid == uid)
    found = tx.execute(listed.order_by(chunks.c.sequence).limit(most)).all()
    some = _light(found)
    for row in some:
        tx.text_index.remove(tx.connection, tx.workspace_id, chunk_rows.DOCUMENT, row.id)
    if some:
        last = some[-1].sequence
        tx.execute(delete(chunks).where(chunks.c.session_uid == uid, chunks.c.sequence <= last))
    used = most if len(some) < len(found) else len(some)
    return used, _grown(erased, chunks=len(some))


def _memories(tx: Transaction, uid: str, most: int, erased: ErasedContents) -> tuple[int, ErasedContents]:
    here = memories.c.workspace_id == tx.workspace_id, memories.c.session_uid == uid
    found = tx.execute(
        select(memories.c.id, memories.c.key, memories.c.version).where(*here).limit(most)
    ).all()
    some = _few(found, most)
    for row in some:
        tx.text_index.remove(tx.connection, tx.workspace_id, memory_rows.DOCUMENT, row.id)
    ids = [row.id for row in some]
    old = memory_versions.c.workspace_id == tx.workspace_id, memory_versions.c.memory_id.in_(ids)
    tx.execute(delete(memory_versions).where(*old))
    meaning = memory_vectors.c.workspace_id == tx.workspace_id, memory_vectors.c.memory_id.in_(ids)
    tx.execute(delete(memory_vectors).where(*meaning))
    tx.execute(delete(memories).where(*here, memories.c.id.in_(ids)))
    used = most if len(some) < len(found) else len(some)
    return used, _grown(erased, memories=len(ids), memory_keys=[row.key for row in some])


def _artifacts(tx: Transaction, uid: str, most: int, erased: ErasedContents) -> tuple[int, ErasedContents]:
    here = artifacts.c.session_uid == uid
    columns = artifacts.c.id, artifacts.c.artifact_id, artifacts.c.bytes, artifacts.c.version
    found = tx.execute(select(*columns).where(here).order_by(artifacts.c.id).limit(most)).all()
    some = _few(_light(found), most)
    for row in some:
        tx.text_index.remove(tx.connection, tx.workspace_id, artifact_rows.DOCUMENT, row.id)
    ids = [row.id for row in some]
    old = artifact_versions.c.workspace_id == tx.workspace_id, artifact_versions.c.artifact_id.in_(ids)
    tx.execute(delete(artifact_versions).where(*old))
    tx.execute(delete(artifacts).where(here, artifacts.c.id.in_(ids)))
    used = most if len(some) < len(found) else len(some)
    return used, _grown(erased, artifacts=len(ids), artifact_ids=[row.artifact_id for row in some])


_STEPS: tuple[_Step, ...] = (_tasks, _chunks, _memories, _artifacts)


def _light(found: Sequence[Any]) -> list[Any]:
    """The first of some rows, at least one, whose contents are not too much for one transaction."""
    some: list[Any] = []
    size = 0
    for row in found:
        size += row.bytes
        if some and size > limits.ERASED_BYTES_MAX:
            break
        some.append(row)
    return some


def _few(found: Sequence[Any], most: int) -> list[Any]:
    """The first of some rows, at least one, that have no more than `most` versions together."""
    some: list[Any] = []
    count = 0
    for row in found:
        count += row.version
        if some and count > most:
            break
        some.append(row)
    return some


def _grown(erased: ErasedContents, **more: Any) -> ErasedContents:
    """What is gone so far, with some more; of each sort only the first names are kept."""
    fields = erased.model_dump()
    for name, value in more.items():
        fields[name] = fields[name] + value
        if isinstance(value, list):
            fields[name] = fields[name][: limits.ERASED_NAMED_MAX]
    return ErasedContents(**fields)
