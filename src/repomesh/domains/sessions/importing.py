"""Importing a session: as it was, with its order, versions, times and authors' names; all or nothing.

Its pieces are kept under the import's id, where nobody finds them; the last one gives the session its own.
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
"""Begins the id of a staged session; no session's own id does."""

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
    """Take a piece of an exported session, of up to 200 items; the last piece makes all of it visible.

    By the owner alone, since it says who wrote what and when. Items that were sent before are passed over, so
    that an import that broke off goes on; one that nobody goes on with for a day is dropped.
    """
    if rows.is_there(tx, request.session_id):
        raise SessionExists(f"there is a session '{request.session_id}' already")
    staged = _find(tx, request.import_id)
    if request.after == 0:
        if staged is not None:
            drop(tx, staged)
        staged = _begin(tx, request)
    elif staged is None:
        raise ImportNotFound(f"there is no import '{request.import_id}' to go on with")
    taken: int = staged.erased["taken"]
    if request.after > taken or staged.erased["session_id"] != request.session_id:
        raise ImportOutOfStep(f"the import goes on behind item {taken}", taken=taken)
    work = _Import(tx, staged, request.session_id)
    for number, item in enumerate(request.items[taken - request.after :], taken + 1):
        work.take(number, item)
    taken = max(taken, request.after + len(request.items))
    noted = {"erased": staged.erased | {"taken": taken}, "updated_at": tx.now}
    tx.execute(update(sessions).where(sessions.c.uid == staged.uid).values(noted))
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
    """Show how far an import is, to go on with it."""
    staged = _find(tx, request.import_id)
    if staged is None:
        raise ImportNotFound(f"there is no import '{request.import_id}'")
    about = staged.erased
    return _progress(tx, request.import_id, about["session_id"], about["taken"], staged.uid, done=False)


@command("session.drop_import", http=Delete("/v1/imports/{import_id}"), scope="sessions:admin")
def drop_import(tx: Transaction, request: OneImport) -> Empty:
    """Drop an import that is not done, with all that was sent of it."""
    staged = _find(tx, request.import_id)
    if staged is not None:
        drop(tx, staged)
    return Empty()


def drop(tx: Transaction, staged: Row[Any]) -> None:
    """Have a staged session go piece by piece, as a deleted one does; no event says so, nobody saw it."""
    going = {"id": f"{STAGED}{staged.uid}", "status": "deleting", "erased": {}, "reason": ""}
    tx.execute(update(sessions).where(sessions.c.uid == staged.uid).values(going))


def drop_abandoned(tx: Transaction) -> None:
    """Drop the imports that nobody went on with for long."""
    table = sessions.c
    before = tx.now - timedelta(seconds=limits.IMPORT_KEPT_S)
    old = table.workspace_id == tx.workspace_id, table.status == "importing", table.updated_at < before
    for staged in tx.execute(select(sessions).where(*old).limit(limits.IMPORTS_DROPPED_MAX)).all():
        drop(tx, staged)


def is_staged(session_id: str) -> bool:
    """Whether a session's id is that of an import, which nobody has seen."""
    return session_id.startswith(STAGED)


def _find(tx: Transaction, import_id: str) -> Row[Any] | None:
    table = sessions.c
    here = table.workspace_id == tx.workspace_id, table.id == f"{STAGED}{import_id}"
    return tx.execute(select(sessions).where(*here, table.status == "importing")).one_or_none()


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
    staged = _find(tx, request.import_id)
    assert staged is not None, "it was made above"
    return staged


def _finish(tx: Transaction, staged: Row[Any], session_id: str) -> None:
    was = staged.erased
    columns = {"id": session_id, "status": was["status"], "reason": was["reason"], "erased": None}
    columns["updated_at"] = datetime.fromisoformat(was["updated_at"])
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
    """Keeps the items of one piece."""

    def __init__(self, tx: Transaction, staged: Row[Any], session_id: str) -> None:
        self._tx = tx
        self._uid: str = staged.uid
        self._place = {"workspace_id": tx.workspace_id, "session_uid": staged.uid, "session_id": session_id}
        # Added to each id's random part: the ids are new, and in the order of the old ones.
        self._offset = int(staged.uid.replace("-", ""), 16) % 2 ** (_TAIL_BITS - 2)
        self._takers: Mapping[type[Any], Callable[[Any], None]] = {
            ImportedChunk: self._chunk,
            ImportedMemory: self._memory,
            ImportedMemoryVersion: self._memory_version,
            ImportedArtifact: self._artifact,
            ImportedArtifactVersion: self._artifact_version,
        }

    def take(self, number: int, item: Any) -> None:
        """Keep one item; raises ImportRefused with its number."""
        if isinstance(item, ImportedSession):
            if number != 1:
                raise ImportRefused("a file holds one session", item=number)
            return
        try:
            self._takers[type(item)](item)
        except _Refused as refused:
            raise ImportRefused(str(refused), item=number) from None

    def _new_id(self, old: str | None, made: datetime) -> str:
        number = int((old or IdSequence(made).next_id()).replace("-", ""), 16)
        tail = (number + self._offset) % 2**_TAIL_BITS
        digits = f"{number >> _TAIL_BITS << _TAIL_BITS | tail:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _chunk(self, item: ImportedChunk) -> None:
        tx, table = self._tx, chunks.c
        same = (table.chunk_id == item.chunk_id) | (table.sequence == item.sequence)
        if tx.execute(select(table.id).where(table.session_uid == self._uid, same)).first() is not None:
            raise _Refused(f"chunk '{item.chunk_id}' or its place {item.sequence} is in the file before")
        content = item.prepared()
        names = ("chunk_id", "sequence", "format", "speaker", "metadata", "author", "created_at")
        info = ChunkInfo(
            id=self._new_id(item.id, item.created_at),
            session_id=self._place["session_id"],
            tags=list(dict.fromkeys(item.tags)),
            bytes=content.bytes,
            sha256=content.sha256,
            **{name: getattr(item, name) for name in names},
        )
        chunk_rows.keep(tx, self._uid, [(info, content)])

    def _memory(self, item: ImportedMemory) -> None:
        tx = self._tx
        if memory_rows.by_key(tx, self._uid, item.key) is not None:
            raise _Refused(f"memory '{item.key}' is in the file before")
        names = ("key", "status", "created_at", "updated_at")
        fields = self._version_fields(item) | self._place | {name: getattr(item, name) for name in names}
        fields["id"] = self._new_id(item.id, item.created_at)
        change = "stored" if item.status == "current" else item.status
        memory_rows.restore(tx, fields, change)

    def _memory_version(self, item: ImportedMemoryVersion) -> None:
        row = memory_rows.by_key(self._tx, self._uid, item.key)
        if row is None:
            raise _Refused(f"memory '{item.key}', of which this is a version, is not in the file before")
        table = memory_versions.c
        here = (
            table.workspace_id == self._tx.workspace_id,
            table.memory_id == row.id,
            table.version == item.version,
        )
        self._tx.execute(delete(memory_versions).where(*here))
        mark = {"workspace_id": self._tx.workspace_id, "memory_id": row.id, "at": item.at}
        self._tx.execute(insert(memory_versions), self._version_fields(item) | mark | {"change": item.change})

    def _version_fields(self, item: ImportedMemory | ImportedMemoryVersion) -> dict[str, Any]:
        names = ("type", "content", "confidence", "superseded_by", "reason", "author", "version")
        sources = [source.model_dump() for source in item.sources]
        return {name: getattr(item, name) for name in names} | {
            "tags": list(dict.fromkeys(item.tags)),
            "sources": sources,
        }

    def _artifact(self, item: ImportedArtifact) -> None:
        tx, table = self._tx, artifacts.c
        here = table.session_uid == self._uid, table.artifact_id == item.artifact_id
        if tx.execute(select(table.id).where(*here)).first() is not None:
            raise _Refused(f"artifact '{item.artifact_id}' is in the file before")
        content = item.prepared()
        names = ("artifact_id", "title", "type", "description", "media_type", "url", "author", "version")
        fields = {name: getattr(item, name) for name in (*names, "created_at", "updated_at")} | self._place
        fields["id"] = self._new_id(item.id, item.created_at)
        fields |= {
            "tags": list(dict.fromkeys(item.tags)),
            "bytes": len(content.raw),
            "sha256": content.sha256,
        }
        tx.execute(insert(artifacts), fields)
        artifact_rows.index(tx, fields, content)
        self._artifact_content(fields["id"], item, content, item.updated_at)

    def _artifact_version(self, item: ImportedArtifactVersion) -> None:
        table = artifacts.c
        here = table.session_uid == self._uid, table.artifact_id == item.artifact_id
        row = self._tx.execute(select(table.id, table.version).where(*here)).one_or_none()
        if row is None or row.version <= item.version:
            raise _Refused(f"artifact '{item.artifact_id}' of a later version is not in the file before")
        self._artifact_content(row.id, item, item.prepared(), item.at)

    def _artifact_content(
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


class _Refused(Exception):
    """An item can't stand where it stands."""
