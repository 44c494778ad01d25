"""Operations on conversation chunks: add, list, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, insert, select

from repomesh.domains.sessions import rows
from repomesh.domains.sessions.chunk_models import (
    SESSION_CHUNKS_ADDED,
    AddChunk,
    AddChunks,
    AddedChunks,
    Chunk,
    ChunkInfo,
    ChunksAdded,
    ListChunks,
    NewChunk,
    PreparedContent,
    ReadChunk,
    ReadChunkPart,
)
from repomesh.domains.sessions.errors import (
    ChunkConflict,
    ChunkNotFound,
    SequenceTaken,
    SequenceUsedUp,
    SessionNotActive,
    SessionNotFound,
)
from repomesh.domains.sessions.rules import mark
from repomesh.domains.sessions.tables import chunks
from repomesh.kernel import limits
from repomesh.kernel.budget import budget, fit
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.json_values import same_json
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.ports import StorePort
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.words import words_of
from repomesh.store.damage import convert_readable
from repomesh.store.log import NewEvent
from repomesh.store.paging import position
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Unreadable

DOCUMENT = "chunk"
"""The document type of chunks in the full-text index."""

_table = chunks.c
_INFO = [_table[name] for name in ChunkInfo.model_fields]
_ADD = PreparedStatement(insert(chunks))
_LAST = PreparedStatement(
    select(_table.sequence)
    .where(_table.session_uid == bindparam("uid"))
    .order_by(_table.sequence.desc())
    .limit(1)
)
_BY_NAME = PreparedStatement(
    select(*_INFO).where(_table.session_uid == bindparam("uid"), _table.chunk_id == bindparam("name"))
)
_BY_PLACE = PreparedStatement(
    select(_table.chunk_id).where(
        _table.session_uid == bindparam("uid"), _table.sequence == bindparam("sequence")
    )
)
_REFUSALS = (SessionNotFound, SessionNotActive, ChunkConflict, SequenceTaken, SequenceUsedUp)
_BODY_BYTES_MAX = limits.CONTENT_BODY_BYTES_MAX


def _prepare_all(request: AddChunks, _store: StorePort) -> None:
    for chunk in request.chunks:
        chunk.prepared()


@command(
    "chunk.add",
    http=Post("/v1/sessions/{session_id}/chunks", status=201, body_bytes_max=_BODY_BYTES_MAX),
    scope="sessions:write",
    errors=_REFUSALS,
    prepare=on_worker_thread(lambda request, _store: request.prepared()),
)
def add_chunk(tx: Transaction, request: AddChunk) -> ChunkInfo:
    """Add a piece of conversation, of up to 10 MiB in UTF-8, to an active session.

    A resend of a `chunk_id` with the same fields gets the same answer as the first time. The body may have 21
    MiB, so that every byte of the content may be escaped.
    """
    return add(tx, rows.find_active(tx, request.session_id), [request])[0]


@command(
    "chunk.add_many",
    http=Post("/v1/sessions/{session_id}/chunks/batch", status=201, body_bytes_max=_BODY_BYTES_MAX),
    scope="sessions:write",
    errors=_REFUSALS,
    prepare=on_worker_thread(_prepare_all),
)
def add_chunks(tx: Transaction, request: AddChunks) -> AddedChunks:
    """Add up to 200 pieces of conversation, all or none."""
    return AddedChunks(items=add(tx, rows.find_active(tx, request.session_id), request.chunks))


@query(
    "chunk.list",
    http=Get("/v1/sessions/{session_id}/chunks"),
    scope="sessions:read",
    errors=(SessionNotFound,),
)
def list_chunks(tx: Transaction, request: ListChunks) -> Page[Chunk]:
    """Read a session's conversation in the order of its sequence, in pages of at most 4 MiB.

    A chunk larger than a page is cut; read it on its own.
    """
    uid = rows.find_readable(tx, request.session_id).uid
    page_rows, next_cursor = _select_page(tx, uid, request)
    share = min(limits.CONTENT_PAGE_BYTES_MAX, budget(request.max_chars))
    content_rows = _read_contents(tx, uid, page_rows, share)
    items = convert_readable(tx, content_rows, lambda row: _with_content(row, share), _record_name)
    items.sort(key=lambda chunk: chunk.sequence, reverse=request.newest_first)
    result = Page[Chunk](items=items, next_cursor=next_cursor)
    if request.max_chars is None:
        return result
    return fit(result, request.max_chars, lambda index: encode_cursor(items[index].sequence), "content")


@query(
    "chunk.read",
    http=Get("/v1/sessions/{session_id}/chunks/{chunk_id}"),
    scope="sessions:read",
    errors=(SessionNotFound, ChunkNotFound),
)
def read_chunk(tx: Transaction, request: ReadChunk) -> ReadChunkPart:
    """Read one chunk from `offset` on, up to `max_chars` characters; `next_offset` is where to continue."""
    uid = rows.find_readable(tx, request.session_id).uid
    chars_max = request.max_chars or limits.CONTENT_CHARS_DEFAULT
    piece = func.substr(_table.content, request.offset + 1, chars_max + 1).label("content")
    conditions = _table.session_uid == uid, _table.chunk_id == request.chunk_id
    row = tx.execute(select(*_INFO, piece).where(*conditions)).one_or_none()
    if row is None:
        raise ChunkNotFound(f"there is no chunk '{request.chunk_id}' in session '{request.session_id}'")
    has_more = len(row.content) > chars_max
    fields = row._asdict() | {"content": row.content[:chars_max]}
    return ReadChunkPart(
        **fields, offset=request.offset, next_offset=request.offset + chars_max if has_more else None
    )


def add(tx: Transaction, session: Row[Any], new_chunks: Sequence[NewChunk]) -> list[ChunkInfo]:
    """Add chunks to a session and emit one event. Returns each, resent ones as they are stored.

    Raises ChunkConflict, SequenceTaken or SequenceUsedUp.
    """
    last_sequence = tx.execute(_LAST, {"uid": session.uid}).scalar_one_or_none() or 0
    by_name: dict[str, ChunkInfo] = {}
    names_by_place: dict[int, str] = {}
    infos: list[ChunkInfo] = []
    added: list[tuple[ChunkInfo, PreparedContent]] = []
    for chunk in new_chunks:
        content = chunk.prepared()
        existing = _find_existing(tx, session, chunk, by_name)
        if existing is not None:
            _require_same(existing, chunk, content)
            infos.append(existing)
            continue
        place = chunk.sequence
        if place is None:
            place = _next_place(session, last_sequence)
        else:
            _require_free(tx, session, place, names_by_place)
        last_sequence = max(last_sequence, place)
        info = _info(tx, session, chunk, place, content)
        by_name[info.chunk_id], names_by_place[place] = info, info.chunk_id
        added.append((info, content))
        infos.append(info)
    _keep_and_emit(tx, session, added)
    return infos


def _find_existing(
    tx: Transaction, session: Row[Any], chunk: NewChunk, by_name: dict[str, ChunkInfo]
) -> ChunkInfo | None:
    if chunk.chunk_id is None:
        return None
    if chunk.chunk_id in by_name:
        return by_name[chunk.chunk_id]
    row = tx.execute(_BY_NAME, {"uid": session.uid, "name": chunk.chunk_id}).one_or_none()
    return None if row is None else ChunkInfo(**row._asdict())


def _require_same(existing: ChunkInfo, chunk: NewChunk, content: PreparedContent) -> None:
    """Raise ChunkConflict unless the chunk equals the existing one of its name."""
    matches = {
        "content": content.sha256 == existing.sha256,
        "format": chunk.format == existing.format,
        "sequence": chunk.sequence in (None, existing.sequence),
        "speaker": chunk.speaker == existing.speaker,
        "tags": list(dict.fromkeys(chunk.tags)) == existing.tags,
        "metadata": same_json(chunk.metadata, existing.metadata),
    }
    differs = [name for name, matching in matches.items() if not matching]
    if differs:
        raise ChunkConflict(
            f"chunk '{existing.chunk_id}' is there already with other {', '.join(differs)}",
            chunk_id=existing.chunk_id,
            differs=differs,
            sequence=existing.sequence,
            sha256=existing.sha256,
        )


def _next_place(session: Row[Any], last_sequence: int) -> int:
    """The place behind the last chunk; raises SequenceUsedUp."""
    if last_sequence >= limits.SEQUENCE_MAX:
        raise SequenceUsedUp(
            f"a chunk stands at {last_sequence} in session '{session.id}', the last place is taken"
        )
    return last_sequence + 1


def _require_free(tx: Transaction, session: Row[Any], place: int, names_by_place: dict[int, str]) -> None:
    name = names_by_place.get(place)
    if name is None:
        name = tx.execute(_BY_PLACE, {"uid": session.uid, "sequence": place}).scalar_one_or_none()
    if name is not None:
        raise SequenceTaken(f"chunk '{name}' stands at {place} in session '{session.id}'", chunk_id=name)


def _info(
    tx: Transaction, session: Row[Any], chunk: NewChunk, place: int, content: PreparedContent
) -> ChunkInfo:
    id_ = tx.new_id()
    return ChunkInfo(
        id=id_,
        session_id=session.id,
        chunk_id=chunk.chunk_id or id_,
        sequence=place,
        format=chunk.format,
        speaker=chunk.speaker,
        tags=list(dict.fromkeys(chunk.tags)),
        metadata=chunk.metadata,
        bytes=content.bytes,
        sha256=content.sha256,
        author=tx.caller.agent_name,
        created_at=tx.now,
    )


def _keep_and_emit(
    tx: Transaction, session: Row[Any], new_chunks: Sequence[tuple[ChunkInfo, PreparedContent]]
) -> None:
    if not new_chunks:
        return
    keep(tx, session.uid, new_chunks)
    event_data = ChunksAdded(session_id=session.id, chunks=[info for info, _ in new_chunks])
    tx.emit(NewEvent(SESSION_CHUNKS_ADDED, f"session/{session.id}", event_data))


def keep(tx: Transaction, uid: str, new_chunks: Sequence[tuple[ChunkInfo, PreparedContent]]) -> None:
    """Insert chunks into a session and index their words, without an event."""
    key = {"session_uid": uid, "workspace_id": tx.workspace_id}
    tx.insert(_ADD, [dict(info) | key | {"content": content.text} for info, content in new_chunks])
    for info, content in new_chunks:
        extra_words = document_words(uid, info.author, info.tags, info.speaker)
        tx.index_words(DOCUMENT, info.id, content.words.behind(extra_words))


def document_words(uid: str, author: str | None, tags: Sequence[str], speaker: str) -> list[str]:
    """The index words of a chunk besides those of its content: marks for filters, and the speaker."""
    authors = [] if author is None else [mark("a", author)]
    return [mark("s", uid), *authors, *(mark("t", tag) for tag in tags), *words_of(speaker)]


def _select_page(tx: Transaction, uid: str, request: ListChunks) -> tuple[list[Any], str | None]:
    """(sequence, bytes) of the chunks of one page, and the cursor behind them."""
    statement = select(_table.sequence, _table.bytes).where(
        _table.session_uid == uid, _table.sequence > request.after
    )
    if request.cursor is not None:
        [bound] = position(request.cursor, [_table.sequence])
        statement = statement.where(
            _table.sequence < bound if request.newest_first else _table.sequence > bound
        )
    order = _table.sequence.desc() if request.newest_first else _table.sequence.asc()
    candidates = tx.execute(statement.order_by(order).limit(request.limit + 1)).all()
    page_rows: list[Any] = []
    size = 0
    for row in candidates[: request.limit]:
        size += 0 if isinstance(row.bytes, Unreadable) else row.bytes
        if page_rows and size > limits.CONTENT_PAGE_BYTES_MAX:
            break
        page_rows.append(row)
    return page_rows, encode_cursor(page_rows[-1].sequence) if len(page_rows) < len(candidates) else None


def _record_name(row: Row[Any]) -> str:
    return f"chunk/{row.id}"


def _read_contents(tx: Transaction, uid: str, page_rows: Sequence[Any], share: int) -> list[Row[Any]]:
    piece = func.substr(_table.content, 1, share + 1).label("content")
    statement: Select[Any] = select(*_INFO, piece).where(
        _table.session_uid == uid, _table.sequence.in_([row.sequence for row in page_rows])
    )
    return list(tx.execute(statement).all())


def _with_content(row: Row[Any], share: int) -> Chunk:
    fields = row._asdict()
    return Chunk(**fields | {"content": fields["content"][:share]}, truncated=len(fields["content"]) > share)
