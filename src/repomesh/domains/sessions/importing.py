"""Imports a session with its order, versions, times and authors' names, all or nothing.

The pieces are stored in a staged session under the import's id, which no operation shows; the last piece
gives the session its own id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import chunks as chunk_rows
from repomesh.domains.sessions import memory_rows, rows
from repomesh.domains.sessions.artifact_models import PreparedArtifact
from repomesh.domains.sessions.chunk_models import ChunkInfo
from repomesh.domains.sessions.errors import (
    ImportNotFound,
    ImportOutOfStep,
    ImportRefused,
    SessionExists,
)
from repomesh.domains.sessions.import_models import (
    SESSION_IMPORTED,
    ImportedArtifact,
    ImportedArtifactVersion,
    ImportedChunk,
    ImportedMemory,
    ImportedMemoryVersion,
    ImportedSession,
    ImportProgress,
    ImportSession,
    OneImport,
    SessionImported,
)
from repomesh.domains.sessions.tables import (
    artifact_versions,
    artifacts,
    chunks,
    memory_versions,
    sessions,
)
from repomesh.kernel import limits
from repomesh.kernel.ids import IdSequence
from repomesh.kernel.operation import Delete, Empty, Get, Post, command, query
from repomesh.kernel.ports import StorePort
from repomesh.kernel.preparation import on_worker_thread
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

STAGED = "~"
"""The prefix of a staged session's id; no other session's id can begin with it."""

_TAIL_BITS = 62


def _stage(request: ImportSession, store: StorePort) -> None:
    for item in request.items:
        if isinstance(item, ImportedChunk):
            item.prepared()
        elif isinstance(item, ImportedArtifact | ImportedArtifactVersion):
            item.prepared().keep(store.contents)


@command(
    "session.import",
    http=Post("/v1/imports", body_bytes_max=limits.CONTENT_BODY_BYTES_MAX),
    scope="sessions:admin",
    errors=(SessionExists, ImportNotFound, ImportOutOfStep, ImportRefused),
    prepare=on_worker_thread(_stage),
)
def import_session(tx: Transaction, request: ImportSession) -> ImportProgress:
    """Import a piece of an exported session, of up to 200 items; the last piece makes all of it visible.

    For the owner alone, since the items name their authors and times. Items that were sent before are
    skipped, so that an interrupted import can continue. An import without a new piece for a day is dropped.
    """
    if rows.is_there(tx, request.session_id):
        raise SessionExists(f"there is a session '{request.session_id}' already")
    staged = _find_staged(tx, request.import_id)
    if request.after == 0:
        if staged is not None:
            drop(tx, staged)
        staged = _begin(tx, request)
    elif staged is None:
        raise ImportNotFound(f"there is no import '{request.import_id}' to go on with")
    taken: int = staged.erased["taken"]
    if request.after > taken or staged.erased["session_id"] != request.session_id:
        raise ImportOutOfStep(f"the import goes on behind item {taken}", taken=taken)
    importer = _Import(tx, staged, request.session_id)
    for number, item in enumerate(request.items[taken - request.after :], taken + 1):
        importer.add(number, item)
    taken = max(taken, request.after + len(request.items))
    progress = {"erased": staged.erased | {"taken": taken}, "updated_at": tx.now}
    tx.execute(update(sessions).where(sessions.c.uid == staged.uid).values(progress))
    if request.done:
        _finish(tx, staged, request.session_id)
    return _progress(tx, request.import_id, request.session_id, taken, staged.uid, done=request.done)


@query(
    "session.import_progress",
    http=Get("/v1/imports/{import_id}"),
    scope="sessions:admin",
    errors=(ImportNotFound,),
)
def show_import(tx: Transaction, request: OneImport) -> ImportProgress:
    """Show the progress of an import, to continue it."""
    staged = _find_staged(tx, request.import_id)
    if staged is None:
        raise ImportNotFound(f"there is no import '{request.import_id}'")
    progress = staged.erased
    return _progress(tx, request.import_id, progress["session_id"], progress["taken"], staged.uid, done=False)


@command("session.drop_import", http=Delete("/v1/imports/{import_id}"), scope="sessions:admin")
def drop_import(tx: Transaction, request: OneImport) -> Empty:
    """Drop an unfinished import, with everything that was sent of it."""
    staged = _find_staged(tx, request.import_id)
    if staged is not None:
        drop(tx, staged)
    return Empty()


def drop(tx: Transaction, staged: Row[Any]) -> None:
    """Mark a staged session for deletion in pieces, without an event since nobody has seen it."""
    columns = {"id": f"{STAGED}{staged.uid}", "status": "deleting", "erased": {}, "reason": ""}
    tx.execute(update(sessions).where(sessions.c.uid == staged.uid).values(columns))


def drop_abandoned(tx: Transaction) -> None:
    """Drop imports that did not go on for IMPORT_KEPT_S seconds, at most IMPORTS_DROPPED_MAX."""
    table = sessions.c
    cutoff = tx.now - timedelta(seconds=limits.IMPORT_KEPT_S)
    abandoned = table.workspace_id == tx.workspace_id, table.status == "importing", table.updated_at < cutoff
    for staged in tx.execute(select(sessions).where(*abandoned).limit(limits.IMPORTS_DROPPED_MAX)).all():
        drop(tx, staged)


def is_staged(session_id: str) -> bool:
    """Whether a session's id is that of a staged import."""
    return session_id.startswith(STAGED)


def _find_staged(tx: Transaction, import_id: str) -> Row[Any] | None:
    table = sessions.c
    conditions = table.workspace_id == tx.workspace_id, table.id == f"{STAGED}{import_id}"
    return tx.execute(select(sessions).where(*conditions, table.status == "importing")).one_or_none()


def _begin(tx: Transaction, request: ImportSession) -> Row[Any]:
    first = request.items[0] if request.items else None
    if not isinstance(first, ImportedSession):
        raise ImportRefused("the first item must be the session itself", item=1)
    fields: dict[str, Any] = {
        "uid": tx.new_id(),
        "workspace_id": tx.workspace_id,
        "id": f"{STAGED}{request.import_id}",
        "title": first.title,
        "participants": list(dict.fromkeys(first.participants)),
        "context": first.context,
        "metadata": first.metadata,
        "status": "importing",
        "reason": "",
        "created_by": first.created_by,
        "created_by_id": tx.caller.agent_id,
        "created_at": first.created_at,
        "updated_at": tx.now,
        "version": first.version,
        "erased": {"session_id": request.session_id, "taken": 0}
        | first.model_dump(mode="json", include={"status", "reason", "updated_at"}),
    }
    tx.execute(insert(sessions), fields)
    staged = _find_staged(tx, request.import_id)
    assert staged is not None, "it was made above"
    return staged


def _finish(tx: Transaction, staged: Row[Any], session_id: str) -> None:
    original = staged.erased
    columns = {"id": session_id, "status": original["status"], "reason": original["reason"], "erased": None}
    columns["updated_at"] = datetime.fromisoformat(original["updated_at"])
    tx.execute(update(sessions).where(sessions.c.uid == staged.uid).values(columns))
    rows.replace_participants(tx, staged.uid, list(staged.participants))
    session = rows.as_session(rows.find(tx, session_id)._asdict())
    imported = SessionImported(session=session, counts=rows.counts(tx, staged.uid))
    tx.emit(NewEvent(SESSION_IMPORTED, f"session/{session_id}", imported))


def _progress(
    tx: Transaction, import_id: str, session_id: str, taken: int, uid: str, *, done: bool
) -> ImportProgress:
    return ImportProgress(
        import_id=import_id, session_id=session_id, taken=taken, done=done, counts=rows.counts(tx, uid)
    )


class _Import:
    """Inserts the items of one piece into the staged session."""

    def __init__(self, tx: Transaction, staged: Row[Any], session_id: str) -> None:
        self._tx = tx
        self._uid: str = staged.uid
        self._keys = {"workspace_id": tx.workspace_id, "session_uid": staged.uid, "session_id": session_id}
        # Added to the random part of each id, so that the ids are new but keep the order of the old ones.
        self._offset = int(staged.uid.replace("-", ""), 16) % 2 ** (_TAIL_BITS - 2)
        self._adders: Mapping[type[Any], Callable[[Any], None]] = {
            ImportedChunk: self._add_chunk,
            ImportedMemory: self._add_memory,
            ImportedMemoryVersion: self._add_memory_version,
            ImportedArtifact: self._add_artifact,
            ImportedArtifactVersion: self._add_artifact_version,
        }

    def add(self, number: int, item: Any) -> None:
        """Insert one item; raises ImportRefused with its number."""
        if isinstance(item, ImportedSession):
            if number != 1:
                raise ImportRefused("a file holds one session", item=number)
            return
        try:
            self._adders[type(item)](item)
        except _ItemRefused as error:
            raise ImportRefused(str(error), item=number) from None

    def _new_id(self, old_id: str | None, created_at: datetime) -> str:
        number = int((old_id or IdSequence(created_at).next_id()).replace("-", ""), 16)
        tail = (number + self._offset) % 2**_TAIL_BITS
        digits = f"{number >> _TAIL_BITS << _TAIL_BITS | tail:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _add_chunk(self, item: ImportedChunk) -> None:
        tx, table = self._tx, chunks.c
        occupied = (table.chunk_id == item.chunk_id) | (table.sequence == item.sequence)
        if tx.execute(select(table.id).where(table.session_uid == self._uid, occupied)).first() is not None:
            raise _ItemRefused(f"chunk '{item.chunk_id}' or its place {item.sequence} is in the file before")
        content = item.prepared()
        names = ("chunk_id", "sequence", "format", "speaker", "metadata", "author", "created_at")
        info = ChunkInfo(
            id=self._new_id(item.id, item.created_at),
            session_id=self._keys["session_id"],
            tags=list(dict.fromkeys(item.tags)),
            bytes=content.bytes,
            sha256=content.sha256,
            **{name: getattr(item, name) for name in names},
        )
        chunk_rows.keep(tx, self._uid, [(info, content)])

    def _add_memory(self, item: ImportedMemory) -> None:
        tx = self._tx
        if memory_rows.find_by_key(tx, self._uid, item.key) is not None:
            raise _ItemRefused(f"memory '{item.key}' is in the file before")
        names = ("key", "status", "created_at", "updated_at")
        fields = self._version_fields(item) | self._keys | {name: getattr(item, name) for name in names}
        fields["id"] = self._new_id(item.id, item.created_at)
        change = "stored" if item.status == "current" else item.status
        memory_rows.restore(tx, fields, change)

    def _add_memory_version(self, item: ImportedMemoryVersion) -> None:
        row = memory_rows.find_by_key(self._tx, self._uid, item.key)
        if row is None:
            raise _ItemRefused(f"memory '{item.key}', of which this is a version, is not in the file before")
        table = memory_versions.c
        conditions = (
            table.workspace_id == self._tx.workspace_id,
            table.memory_id == row.id,
            table.version == item.version,
        )
        self._tx.execute(delete(memory_versions).where(*conditions))
        key = {"workspace_id": self._tx.workspace_id, "memory_id": row.id, "at": item.at}
        self._tx.execute(insert(memory_versions), self._version_fields(item) | key | {"change": item.change})

    def _version_fields(self, item: ImportedMemory | ImportedMemoryVersion) -> dict[str, Any]:
        names = ("type", "content", "confidence", "superseded_by", "reason", "author", "version")
        sources = [source.model_dump() for source in item.sources]
        return {name: getattr(item, name) for name in names} | {
            "tags": list(dict.fromkeys(item.tags)),
            "sources": sources,
        }

    def _add_artifact(self, item: ImportedArtifact) -> None:
        tx, table = self._tx, artifacts.c
        conditions = table.session_uid == self._uid, table.artifact_id == item.artifact_id
        if tx.execute(select(table.id).where(*conditions)).first() is not None:
            raise _ItemRefused(f"artifact '{item.artifact_id}' is in the file before")
        content = item.prepared()
        names = ("artifact_id", "title", "type", "description", "media_type", "url", "author", "version")
        fields = {name: getattr(item, name) for name in (*names, "created_at", "updated_at")} | self._keys
        fields["id"] = self._new_id(item.id, item.created_at)
        fields |= {
            "tags": list(dict.fromkeys(item.tags)),
            "bytes": len(content.raw),
            "sha256": content.sha256,
        }
        tx.execute(insert(artifacts), fields)
        artifact_rows.index(tx, fields, content)
        self._insert_artifact_version(fields["id"], item, content, item.updated_at)

    def _add_artifact_version(self, item: ImportedArtifactVersion) -> None:
        table = artifacts.c
        conditions = table.session_uid == self._uid, table.artifact_id == item.artifact_id
        row = self._tx.execute(select(table.id, table.version).where(*conditions)).one_or_none()
        if row is None or row.version <= item.version:
            raise _ItemRefused(f"artifact '{item.artifact_id}' of a later version is not in the file before")
        self._insert_artifact_version(row.id, item, item.prepared(), item.at)

    def _insert_artifact_version(
        self,
        artifact_id: str,
        item: ImportedArtifact | ImportedArtifactVersion,
        content: PreparedArtifact,
        at: datetime,
    ) -> None:
        version = {name: getattr(item, name) for name in ("media_type", "url", "author", "version")} | {
            "workspace_id": self._tx.workspace_id,
            "artifact_id": artifact_id,
            "bytes": len(content.raw),
            "sha256": content.sha256,
            "at": at,
            "content": content.in_row(),
        }
        self._tx.execute(insert(artifact_versions), version)


class _ItemRefused(Exception):
    """An item is not allowed at its place in the file."""
