"""Deletes a session and its contents in bounded pieces, so that other writes need not wait long."""

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
    """The result of one piece of a deletion: whether it was the last, all erased so far, its own rows."""

    done: bool
    erased: ErasedContents
    rows: int


def erase(tx: Transaction, session: Row[Any], erased: ErasedContents, reason: str) -> ErasedPiece:
    """Delete up to ERASED_ROWS_MAX rows of a session; after the last of them the session itself.

    `erased` is what the pieces before deleted. Emits `session.deleted` with the last piece.
    """
    rows_left = limits.ERASED_ROWS_MAX
    for step in _STEPS:
        count, erased = step(tx, session.uid, rows_left, erased)
        rows_left -= count
        if rows_left <= 0:
            return ErasedPiece(False, erased, limits.ERASED_ROWS_MAX)
    tx.execute(delete(sessions).where(sessions.c.uid == session.uid))
    if is_staged(session.id):  # nobody has seen it, so no event
        return ErasedPiece(True, erased, limits.ERASED_ROWS_MAX - rows_left)
    deleted = SessionDeleted(session_id=session.id, reason=reason, erased=erased)
    tx.emit(NewEvent(SESSION_DELETED, f"session/{session.id}", deleted))
    return ErasedPiece(True, erased, limits.ERASED_ROWS_MAX - rows_left)


def save_progress(tx: Transaction, uid: str, erased: ErasedContents) -> None:
    """Store what a deletion has erased so far."""
    tx.execute(update(sessions).where(sessions.c.uid == uid).values(erased=erased.model_dump()))


def conceal(tx: Transaction, session: Row[Any]) -> None:
    """Hide a session's contents at once, before its rows are deleted in pieces.

    Redacts its events and stored answers of Idempotency-Keys, deletes its participants and written summary,
    and leaves the session only its id.
    """
    subject = [literal("memory/") + memories.c.id]
    subjects: CompoundSelect[tuple[str]] = union_all(
        select(literal(f"session/{session.id}")),
        select(*subject).where(
            memories.c.workspace_id == tx.workspace_id, memories.c.session_uid == session.uid
        ),
        select(literal("artifact/") + artifacts.c.id).where(artifacts.c.session_uid == session.uid),
    )
    redact_events(tx, _QUOTING_EVENTS, subjects, reason="its session was deleted", session_id=session.id)
    erase_answers(tx, _ANSWERING_OPERATIONS, [f'"session_id":"{session.id}"', f'"id":"{session.id}"'])
    for table in (session_participants, session_summaries):
        tx.execute(delete(table).where(table.c.session_uid == session.uid))
    columns = {"title": session.id, "participants": [], "context": {}, "metadata": {}}
    tx.execute(update(sessions).where(sessions.c.uid == session.uid).values(columns))


_QUOTING_EVENTS = (
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
"""The events that quote contents of a session."""

_ANSWERING_OPERATIONS = ("session.", "chunk.", "memory.", "artifact.", "batch.")
"""Prefixes of the operations whose answers quote contents of a session."""

_Step = Callable[[Transaction, str, int, ErasedContents], tuple[int, ErasedContents]]
"""(transaction, session uid, rows at most, erased so far) -> (rows deleted, erased now).

A step deletes fewer rows than allowed only when none are left or their contents are large; in that case it
reports the allowed number, which ends the piece.
"""


def _erase_tasks(
    tx: Transaction, uid: str, rows_max: int, erased: ErasedContents
) -> tuple[int, ErasedContents]:
    """Unlink the session's tasks and cancel unfinished ones; they stay, since others may depend on them."""
    statement = (
        select(session_tasks.c.task_id, tasks.c.status)
        .join(tasks, tasks.c.id == session_tasks.c.task_id)
        .where(session_tasks.c.session_uid == uid)
    )
    rows = tx.execute(statement.limit(rows_max)).all()
    for row in rows:
        if row.status in ("open", "claimed", "blocked"):
            finishing.cancel(tx, CancelTask(task_id=row.task_id, reason="its session was deleted"))
    ids = [row.task_id for row in rows]
    conditions = session_tasks.c.session_uid == uid, session_tasks.c.task_id.in_(ids)
    tx.execute(delete(session_tasks).where(*conditions))
    return len(ids), _add_counts(erased, tasks=len(ids), task_ids=ids)


def _erase_chunks(
    tx: Transaction, uid: str, rows_max: int, erased: ErasedContents
) -> tuple[int, ErasedContents]:
    statement = select(chunks.c.sequence, chunks.c.id, chunks.c.bytes).where(chunks.c.session_uid == uid)
    rows = tx.execute(statement.order_by(chunks.c.sequence).limit(rows_max)).all()
    batch = _take_within_bytes(rows)
    for row in batch:
        tx.text_index.remove(tx.connection, tx.workspace_id, chunk_rows.DOCUMENT, row.id)
    if batch:
        last = batch[-1].sequence
        tx.execute(delete(chunks).where(chunks.c.session_uid == uid, chunks.c.sequence <= last))
    used = rows_max if len(batch) < len(rows) else len(batch)
    return used, _add_counts(erased, chunks=len(batch))


def _erase_memories(
    tx: Transaction, uid: str, rows_max: int, erased: ErasedContents
) -> tuple[int, ErasedContents]:
    conditions = memories.c.workspace_id == tx.workspace_id, memories.c.session_uid == uid
    rows = tx.execute(
        select(memories.c.id, memories.c.key, memories.c.version).where(*conditions).limit(rows_max)
    ).all()
    batch = _take_within_versions(rows, rows_max)
    for row in batch:
        tx.text_index.remove(tx.connection, tx.workspace_id, memory_rows.DOCUMENT, row.id)
    ids = [row.id for row in batch]
    old_versions = memory_versions.c.workspace_id == tx.workspace_id, memory_versions.c.memory_id.in_(ids)
    tx.execute(delete(memory_versions).where(*old_versions))
    old_vectors = memory_vectors.c.workspace_id == tx.workspace_id, memory_vectors.c.memory_id.in_(ids)
    tx.execute(delete(memory_vectors).where(*old_vectors))
    tx.execute(delete(memories).where(*conditions, memories.c.id.in_(ids)))
    used = rows_max if len(batch) < len(rows) else len(batch)
    return used, _add_counts(erased, memories=len(ids), memory_keys=[row.key for row in batch])


def _erase_artifacts(
    tx: Transaction, uid: str, rows_max: int, erased: ErasedContents
) -> tuple[int, ErasedContents]:
    of_session = artifacts.c.session_uid == uid
    columns = artifacts.c.id, artifacts.c.artifact_id, artifacts.c.bytes, artifacts.c.version
    rows = tx.execute(select(*columns).where(of_session).order_by(artifacts.c.id).limit(rows_max)).all()
    batch = _take_within_versions(_take_within_bytes(rows), rows_max)
    for row in batch:
        tx.text_index.remove(tx.connection, tx.workspace_id, artifact_rows.DOCUMENT, row.id)
    ids = [row.id for row in batch]
    old_versions = (
        artifact_versions.c.workspace_id == tx.workspace_id,
        artifact_versions.c.artifact_id.in_(ids),
    )
    tx.execute(delete(artifact_versions).where(*old_versions))
    tx.execute(delete(artifacts).where(of_session, artifacts.c.id.in_(ids)))
    used = rows_max if len(batch) < len(rows) else len(batch)
    return used, _add_counts(erased, artifacts=len(ids), artifact_ids=[row.artifact_id for row in batch])


_STEPS: tuple[_Step, ...] = (_erase_tasks, _erase_chunks, _erase_memories, _erase_artifacts)


def _take_within_bytes(rows: Sequence[Any]) -> list[Any]:
    """The first of the rows, at least one, with at most ERASED_BYTES_MAX bytes of content together."""
    batch: list[Any] = []
    size = 0
    for row in rows:
        size += row.bytes
        if batch and size > limits.ERASED_BYTES_MAX:
            break
        batch.append(row)
    return batch


def _take_within_versions(rows: Sequence[Any], versions_max: int) -> list[Any]:
    """The first of the rows, at least one, with at most `versions_max` versions together."""
    batch: list[Any] = []
    count = 0
    for row in rows:
        count += row.version
        if batch and count > versions_max:
            break
        batch.append(row)
    return batch


def _add_counts(erased: ErasedContents, **additions: Any) -> ErasedContents:
    """`erased` with further counts and names added; of each sort only the first names are kept."""
    fields = erased.model_dump()
    for name, value in additions.items():
        fields[name] = fields[name] + value
        if isinstance(value, list):
            fields[name] = fields[name][: limits.ERASED_NAMED_MAX]
    return ErasedContents(**fields)
