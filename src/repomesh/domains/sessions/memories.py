"""Operations on memories: store, list, show, and correct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from repomesh.domains.sessions import memory_rows, rows
from repomesh.domains.sessions.errors import (
    MemoryNotFound,
    MemoryStatusConflict,
    SessionNotActive,
    SessionNotFound,
    SupersedesItself,
)
from repomesh.domains.sessions.fields import as_text
from repomesh.domains.sessions.memory_models import (
    ListedMemory,
    ListMemories,
    ListMemoryVersions,
    Memory,
    MemoryVersion,
    OneMemory,
    RestoreMemory,
    RetractMemory,
    StoreMemory,
    SupersedeMemory,
)
from repomesh.domains.sessions.rules import mark
from repomesh.domains.sessions.tables import NO_SESSION, memories, memory_versions
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.store.damage import readable_rows
from repomesh.store.listing import Listing, equals, whether
from repomesh.store.transaction import Transaction

_CHANGE_ERRORS = (MemoryNotFound, SessionNotFound, SessionNotActive, Stale)
_table = memories.c


@command(
    "memory.store",
    http=Post("/v1/memories"),
    tool=Tool(
        "remember",
        "Keep what others should know later: a decision, question, idea, fact…",
        fields=("key", "content", "type", "tags", "session_id"),
        idempotent=True,
    ),
    scope="sessions:write",
    errors=(SessionNotFound, SessionNotActive, Stale),
    prepare=on_worker_thread(
        lambda request, _store: _words(request), when=lambda request: is_long(request.content)
    ),
)
def store_memory(tx: Transaction, request: StoreMemory) -> Memory:
    """Store a memory under a key. An existing key gets a new version, unless nothing differs."""
    uid = NO_SESSION
    if request.session_id is not None:
        uid = rows.find_active(tx, request.session_id).uid
    content_columns: dict[str, Any] = {
        "type": request.type,
        "content": request.content,
        "tags": list(dict.fromkeys(request.tags)),
        "confidence": request.confidence,
        "sources": [source.model_dump() for source in request.sources],
        "status": "current",
        "superseded_by": None,
        "reason": "",
    }
    row = memory_rows.find_by_key(tx, uid, request.key)
    if row is not None:
        tx.check_version(row.version)
        if not changed_values(content_columns, row):
            return memory_rows.as_memory(row)
        return memory_rows.change(tx, row, "stored", _words(request), **content_columns)
    identity_columns = {
        "workspace_id": tx.workspace_id,
        "id": tx.new_id(),
        "session_uid": uid,
        "session_id": request.session_id,
        "key": request.key,
        "author": tx.caller.agent_name,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
    }
    return memory_rows.add(tx, content_columns | identity_columns, _words(request))


def _words(request: StoreMemory) -> list[str]:
    return request.cached_words(lambda: memory_rows.content_words(request.content))


def _with_text_content(item: ListedMemory) -> ListedMemory:
    """A memory whose content is text, which can be cut; any other content becomes JSON text."""
    if isinstance(item.content, str):
        return item
    return item.model_copy(update={"content": as_text(item.content), "truncated": True})


_LISTING = Listing(
    Page[ListedMemory],
    lambda row: ListedMemory(**memory_rows.as_memory(row).model_dump()),
    keys=(_table.id,),
    descending=True,
    filters={
        "session_id": lambda tx, session_id: _table.session_uid == rows.find_readable(tx, session_id).uid,
        "workspace_wide": whether(_table.session_uid == NO_SESSION),
        "key": equals(_table.key),
        "type": equals(_table.type),
        "status": equals(_table.status),
    },
    text="content",
    shorten=_with_text_content,
    document=memory_rows.DOCUMENT,
)


@query("memory.list", http=Get("/v1/memories"), scope="sessions:read", errors=(SessionNotFound,))
def list_memories(tx: Transaction, request: ListMemories) -> Page[ListedMemory]:
    """List memories, newest first: the current ones, unless a status or a key is named."""
    readable = rows.in_readable_session(tx, _table.session_uid)
    statement = select(memories).where(_table.workspace_id == tx.workspace_id, readable)
    if request.status is None and not request.key:
        statement = statement.where(_table.status == "current")
    tags = [*request.tags, *([] if request.tag is None else [request.tag])]
    return _list_tagged(tx, request, statement, tags) if tags else _LISTING.read(tx, statement, request)


@query("memory.show", http=Get("/v1/memories/{memory_id}"), scope="sessions:read", errors=(MemoryNotFound,))
def show_memory(tx: Transaction, request: OneMemory) -> Memory:
    """Show a memory as it is now."""
    return memory_rows.as_memory(memory_rows.find(tx, request.memory_id))


@query(
    "memory.versions",
    http=Get("/v1/memories/{memory_id}/versions"),
    scope="sessions:read",
    errors=(MemoryNotFound,),
)
def list_versions(tx: Transaction, request: ListMemoryVersions) -> Page[MemoryVersion]:
    """List the versions of a memory, newest first."""
    memory_rows.find(tx, request.memory_id)
    table = memory_versions.c
    statement = select(memory_versions).where(
        table.workspace_id == tx.workspace_id, table.memory_id == request.memory_id
    )
    listing = Listing(Page[MemoryVersion], memory_rows.as_version, keys=(table.version,), descending=True)
    return listing.read(tx, statement, request)


@command(
    "memory.restore",
    http=Post("/v1/memories/{memory_id}/restore"),
    scope="sessions:write",
    errors=_CHANGE_ERRORS,
)
def restore_memory(tx: Transaction, request: RestoreMemory) -> Memory:
    """Make an earlier version of a memory the current one again, as a new version."""
    row = memory_rows.find_changeable(tx, request.memory_id)
    earlier = memory_rows.find_version(tx, row.id, request.version)
    content_columns = {
        name: getattr(earlier, name) for name in ("type", "content", "tags", "confidence", "sources")
    }
    current = {"status": "current", "superseded_by": None, "reason": request.reason}
    return memory_rows.change(tx, row, "restored", **content_columns, **current)


@command(
    "memory.supersede",
    http=Post("/v1/memories/{memory_id}/supersede"),
    scope="sessions:write",
    errors=(*_CHANGE_ERRORS, MemoryStatusConflict, SupersedesItself),
)
def supersede_memory(tx: Transaction, request: SupersedeMemory) -> Memory:
    """Mark a memory as superseded by another one. Searches leave it out, unless they ask for it."""
    row = memory_rows.find_changeable(tx, request.memory_id)
    _require_current(row)
    if request.by == row.key:
        raise SupersedesItself(f"memory '{row.key}' can't hold instead of itself")
    if memory_rows.find_by_key(tx, row.session_uid, request.by) is None:
        raise MemoryNotFound(f"there is no memory '{request.by}' beside '{row.key}'")
    columns = {"status": "superseded", "superseded_by": request.by, "reason": request.reason}
    return memory_rows.change(tx, row, "superseded", **columns)


@command(
    "memory.retract",
    http=Post("/v1/memories/{memory_id}/retract"),
    scope="sessions:write",
    errors=(*_CHANGE_ERRORS, MemoryStatusConflict),
)
def retract_memory(tx: Transaction, request: RetractMemory) -> Memory:
    """Mark a memory as wrong. Searches leave it out, unless they ask for it."""
    row = memory_rows.find_changeable(tx, request.memory_id)
    _require_current(row)
    return memory_rows.change(tx, row, "retracted", status="retracted", reason=request.reason)


def _require_current(row: Any) -> None:
    if row.status != "current":
        raise MemoryStatusConflict(
            f"memory '{row.key}' is {row.status} ({row.reason})", memory_status=row.status
        )


def _list_tagged(
    tx: Transaction, request: ListMemories, statement: Any, tags: list[str]
) -> Page[ListedMemory]:
    """A page of the memories that have all of these tags, found by their marks in the full-text index."""
    narrowed = statement.where(*_LISTING.conditions(tx, request))

    def keep_tagged(ids: Sequence[str]) -> set[str]:
        candidates = readable_rows(
            tx, tx.execute(narrowed.with_only_columns(_table.id, _table.tags).where(_table.id.in_(ids)))
        )
        return {row.id for row in candidates if set(tags) <= set(row.tags)}

    marks = " ".join(mark("t", tag) for tag in dict.fromkeys(tags))
    read = _LISTING.search_items(tx, narrowed, request, marks, keep_tagged)
    return _LISTING.build_page(tx, read, request)
