"""Exports a whole session in pages, so that neither side needs more than one of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from repomesh.domains.sessions import memory_rows, rows
from repomesh.domains.sessions.artifact_models import Artifact, ArtifactVersion
from repomesh.domains.sessions.chunk_models import ListChunks
from repomesh.domains.sessions.chunks import list_chunks
from repomesh.domains.sessions.delegating import list_session_tasks
from repomesh.domains.sessions.errors import SessionNotFound
from repomesh.domains.sessions.export_models import (
    ExportedArtifact,
    ExportedArtifactVersion,
    ExportedChunk,
    ExportedMemory,
    ExportedMemoryVersion,
    ExportedSession,
    ExportedTask,
    ExportPage,
    ExportSession,
)
from repomesh.domains.sessions.models import ListSessionTasks, OneSession
from repomesh.domains.sessions.operations import show_session
from repomesh.domains.sessions.tables import artifact_versions, artifacts, memories, memory_versions
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.fields import Page, decode_cursor, encode_cursor
from repomesh.kernel.operation import Get, Model, query
from repomesh.store.paging import ItemsRead, read_items
from repomesh.store.transaction import Transaction

_memory, _artifact = memories.c, artifacts.c


@query(
    "session.export",
    http=Get("/v1/sessions/{session_id}/export"),
    scope="sessions:read",
    errors=(SessionNotFound,),
)
def export_session(tx: Transaction, request: ExportSession) -> ExportPage:
    """Read a whole session in pages of at most 4 MiB of content.

    The session itself comes first, then its conversation in order, memories and artifacts in the order in
    which they were made, each sort followed by its versions, and tasks. A chunk larger than a page is cut
    (`truncated`); read it on its own.
    """
    stage, inner_cursor = _parse_cursor(request.cursor)
    read = _STAGES[stage](tx, request, inner_cursor)
    while not read.items and read.next_cursor is None and stage + 1 < len(_STAGES):
        stage += 1
        read = _STAGES[stage](tx, request, None)
    if read.next_cursor is not None:
        return ExportPage(items=read.items, next_cursor=encode_cursor(stage, read.next_cursor))
    is_last = stage + 1 == len(_STAGES)
    return ExportPage(items=read.items, next_cursor=None if is_last else encode_cursor(stage + 1, None))


_Stage = Callable[[Transaction, ExportSession, str | None], ItemsRead[Any]]


def _session_page(tx: Transaction, request: ExportSession, _cursor: str | None) -> ItemsRead[Any]:
    session = show_session(tx, OneSession(session_id=request.session_id))
    return ItemsRead([ExportedSession(**_fields(session))], (), None)


def _chunk_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    list_request = ListChunks(session_id=request.session_id, cursor=cursor, limit=request.limit)
    return _as_exported(list_chunks(tx, list_request), ExportedChunk)


def _memory_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    statement = select(memories).where(
        _memory.workspace_id == tx.workspace_id, _memory.session_uid == _uid(tx, request)
    )

    def item(row: Any) -> ExportedMemory:
        return ExportedMemory(**memory_rows.as_memory(row).model_dump())

    return read_items(tx, statement, _Part(cursor, request.limit), [_memory.id], item)


def _memory_version_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    version = memory_versions.c
    statement = (
        select(memory_versions, _memory.key)
        .join(memories, (_memory.workspace_id == version.workspace_id) & (_memory.id == version.memory_id))
        .where(_memory.workspace_id == tx.workspace_id, _memory.session_uid == _uid(tx, request))
    )

    def item(row: Any) -> ExportedMemoryVersion:
        return ExportedMemoryVersion(key=row.key, **_fields(memory_rows.as_version(row)))

    return read_items(tx, statement, _Part(cursor, request.limit), [version.memory_id, version.version], item)


def _artifact_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    statement = select(artifacts).where(_artifact.session_uid == _uid(tx, request))

    def item(row: Any) -> ExportedArtifact:
        return ExportedArtifact(**{name: row._mapping[name] for name in Artifact.model_fields})

    return read_items(tx, statement, _Part(cursor, request.limit), [_artifact.id], item)


def _artifact_version_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    version = artifact_versions.c
    columns = [version[name] for name in ArtifactVersion.model_fields]
    statement = (
        select(*columns, _artifact.id, _artifact.artifact_id)
        .join(
            artifacts,
            (_artifact.workspace_id == version.workspace_id) & (_artifact.id == version.artifact_id),
        )
        .where(_artifact.session_uid == _uid(tx, request), version.version < _artifact.version)
    )

    def item(row: Any) -> ExportedArtifactVersion:
        fields = row._asdict()
        del fields["id"]
        return ExportedArtifactVersion(**fields)

    return read_items(tx, statement, _Part(cursor, request.limit), [_artifact.id, version.version], item)


def _uid(tx: Transaction, request: ExportSession) -> str:
    uid: str = rows.find_readable(tx, request.session_id).uid
    return uid


@dataclass(frozen=True, slots=True)
class _Part:
    """Which page of a stage to read."""

    cursor: str | None
    limit: int


def _task_page(tx: Transaction, request: ExportSession, cursor: str | None) -> ItemsRead[Any]:
    list_request = ListSessionTasks(session_id=request.session_id, cursor=cursor, limit=request.limit)
    return _as_exported(list_session_tasks(tx, list_request), ExportedTask)


_STAGES: tuple[_Stage, ...] = (
    _session_page,
    _chunk_page,
    _memory_page,
    _memory_version_page,
    _artifact_page,
    _artifact_version_page,
    _task_page,
)


def _as_exported(listing: Page[Any], model: type[Model]) -> ItemsRead[Any]:
    return ItemsRead([model(**_fields(item)) for item in listing.items], (), listing.next_cursor)


def _fields(item: Model) -> Mapping[str, Any]:
    return {name: getattr(item, name) for name in type(item).model_fields}


def _parse_cursor(cursor: str | None) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    stage, inner_cursor = decode_cursor(cursor, 2)
    is_valid = (
        type(stage) is int
        and 0 <= stage < len(_STAGES)
        and (inner_cursor is None or isinstance(inner_cursor, str))
    )
    if not is_valid:
        raise InvalidRequest("cursor: this is not a cursor of this list")
    assert isinstance(stage, int)
    assert inner_cursor is None or isinstance(inner_cursor, str)
    return stage, inner_cursor
