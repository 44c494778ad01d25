"""Operations on memories: store, list, show, and correct."""

from __future__ import annotations

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
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.store import searching
from repomesh.store.paging import page
from repomesh.store.transaction import Transaction

_NEWEST = encode_cursor("g")  # follows every hexadecimal digit, and so every id
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
    return request.words_once(lambda: memory_rows.content_words(request.content))


@query("memory.list", http=Get("/v1/memories"), scope="sessions:read", errors=(SessionNotFound,))
def list_memories(tx: Transaction, request: ListMemories) -> Page[ListedMemory]:
    """List memories, newest first: the current ones, unless a status or a key is named."""
    readable = rows.in_readable_session(tx, _table.session_uid)
    statement = select(memories).where(_table.workspace_id == tx.workspace_id, readable)
    if request.session_id is not None:
        statement = statement.where(_table.session_uid == rows.find_readable(tx, request.session_id).uid)
    if request.workspace_wide is not None:
        wide = _table.session_uid == NO_SESSION
        statement = statement.where(wide if request.workspace_wide else ~wide)
    for name in ("key", "type"):
        if (value := getattr(request, name)) is not None:
            statement = statement.where(_table[name] == value)
    status = request.status or (None if request.key else "current")
    if status is not None:
        statement = statement.where(_table.status == status)
    tags = [*request.tags, *([] if request.tag is None else [request.tag])]
    if tags:
        return _list_tagged(tx, request, statement, tags)
    items, next_cursor = page(tx, statement, request, [_table.id], _row_to_listed, descending=True)
    positions = PageEnds(lambda index: encode_cursor(items[index].id), request.cursor or _NEWEST)
    return fit_page(Page[ListedMemory](items=items, next_cursor=next_cursor), request.max_chars, positions)


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
    items, next_cursor = page(
        tx, statement, request, [table.version], memory_rows.as_version, descending=True
    )
    result = Page[MemoryVersion](items=items, next_cursor=next_cursor)
    if request.max_chars is None:
        return result
    start = request.cursor or encode_cursor(2**31)
    return fit(result, request.max_chars, PageEnds(lambda index: encode_cursor(items[index].version), start))


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


def fit_page(listing: Page[ListedMemory], max_chars: int | None, positions: PageEnds) -> Page[ListedMemory]:
    """A page of memories within `max_chars`; if it is cut, contents that are no text become JSON text."""
    if max_chars is None or len(listing.model_dump_json()) <= max_chars:
        return listing
    items = [
        item
        if isinstance(item.content, str)
        else item.model_copy(update={"content": as_text(item.content), "truncated": True})
        for item in listing.items
    ]
    return fit(listing.model_copy(update={"items": items}), max_chars, positions, "content")


def _row_to_listed(row: Any) -> ListedMemory:
    return ListedMemory(**memory_rows.as_memory(row).model_dump())


def _list_tagged(
    tx: Transaction, request: ListMemories, statement: Any, tags: list[str]
) -> Page[ListedMemory]:
    """A page of the memories that have all of these tags, found by their marks in the full-text index."""
    memories_by_id: dict[str, ListedMemory] = {}

    def keep_tagged(ids: Any) -> set[str]:
        matches = tx.execute(statement.where(_table.id.in_(ids))).all()
        tagged = {row.id: _row_to_listed(row) for row in matches if set(tags) <= set(row.tags)}
        memories_by_id.update(tagged)
        return set(tagged)

    marks = " ".join(mark("t", tag) for tag in dict.fromkeys(tags))
    hits, next_cursor = searching.search(tx, memory_rows.DOCUMENT, marks, request, keep_tagged)
    items = [memories_by_id[memory_id] for _, memory_id in hits]
    start = request.cursor or searching.BEFORE_ALL
    positions = PageEnds(lambda index: encode_cursor(hits[index][0]), start)
    return fit_page(Page[ListedMemory](items=items, next_cursor=next_cursor), request.max_chars, positions)
