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
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.json_values import same_json
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.ports import StorePort
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.words import words_of
from repomesh.store.log import NewEvent
from repomesh.store.paging import position
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

DOCUMENT = "chunk"
"""The type under which the content is found by its words."""

_table = chunks.c
_INFO = [_table[name] for name in ChunkInfo.model_fields]
_ADD = Prepared(insert(chunks))
_LAST = Prepared(
    select(_table.sequence)
    .where(_table.session_uid == bindparam("uid"))
    .order_by(_table.sequence.desc())
    .limit(1)
)
_BY_NAME = Prepared(
    select(*_INFO).where(_table.session_uid == bindparam("uid"), _table.chunk_id == bindparam("name"))
)
_AT = Prepared(
    select(_table.chunk_id).where(
        _table.session_uid == bindparam("uid"), _table.sequence == bindparam("sequence")
    )
)
_REFUSALS = (SessionNotFound, SessionNotActive, ChunkConflict, SequenceTaken, SequenceUsedUp)
_MOST = limits.CONTENT_BODY_BYTES_MAX


def _prepare_all(request: AddChunks, _store: StorePort) -> None:
    for chunk in request.chunks:
        chunk.prepared()


@command(
    "chunk.add",
    http=Post("/v1/sessions/{session_id}/chunks", status=201, body_bytes_max=_MOST),
    scope="sessions:write",
    errors=_REFUSALS,
    prepare=on_worker_thread(lambda request, _store: request.prepared()),
)
def add_chunk(tx: Transaction, request: AddChunk) -> ChunkInfo:
    """Add a piece of conversation, of up to 10 MiB in UTF-8, to an active session.

    A resend of a `chunk_id` with the same fields is answered like the first time. The body may have 21 MiB,
    so that every byte of the content may be escaped.
    """
    return add(tx, rows.find_active(tx, request.session_id), [request])[0]


@command(
    "chunk.add_many",
    http=Post("/v1/sessions/{session_id}/chunks/batch", status=201, body_bytes_max=_MOST),
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

    A chunk that is larger than a page comes cut, and is read on its own.
    """
    uid = rows.find_readable(tx, request.session_id).uid
    shown, following = _page(tx, uid, request)
    share = min(limits.CONTENT_PAGE_BYTES_MAX, request.max_chars or limits.MAX_CHARS_MAX)
    items = [_with_content(row, share) for row in _read(tx, uid, shown, share)]
    items.sort(key=lambda chunk: chunk.sequence, reverse=request.newest_first)
    found = Page[Chunk](items=items, next_cursor=following)
    if request.max_chars is None:
        return found
    start = request.cursor or encode_cursor(2**62 if request.newest_first else request.after)
    positions = PageEnds(lambda index: encode_cursor(items[index].sequence), start)
    return fit(found, request.max_chars, positions, "content")


@query(
    "chunk.read",
    http=Get("/v1/sessions/{session_id}/chunks/{chunk_id}"),
    scope="sessions:read",
    errors=(SessionNotFound, ChunkNotFound),
)
def read_chunk(tx: Transaction, request: ReadChunk) -> ReadChunkPart:
    """Read one chunk, from `offset` on, as far as `max_chars`; `next_offset` leads on."""
    uid = rows.find_readable(tx, request.session_id).uid
    most = request.max_chars or limits.CONTENT_CHARS_DEFAULT
    piece = func.substr(_table.content, request.offset + 1, most + 1).label("content")
    here = _table.session_uid == uid, _table.chunk_id == request.chunk_id
    row = tx.execute(select(*_INFO, piece).where(*here)).one_or_none()
    if row is None:
        raise ChunkNotFound(f"there is no chunk '{request.chunk_id}' in session '{request.session_id}'")
    more = len(row.content) > most
    fields = row._asdict() | {"content": row.content[:most]}
    return ReadChunkPart(**fields, offset=request.offset, next_offset=request.offset + most if more else None)


def add(tx: Transaction, session: Row[Any], new: Sequence[NewChunk]) -> list[ChunkInfo]:
    """Keep some chunks of a session; answers each, those that were there already as they were."""
    last = tx.execute(_LAST, {"uid": session.uid}).scalar_one_or_none() or 0
    named: dict[str, ChunkInfo] = {}
    taken: dict[int, str] = {}
    answers: list[ChunkInfo] = []
    fresh: list[tuple[ChunkInfo, PreparedContent]] = []
    for one in new:
        content = one.prepared()
        known = _known(tx, session, one, named)
        if known is not None:
            _require_same(known, one, content)
            answers.append(known)
            continue
        place = one.sequence
        if place is None:
            place = _behind(session, last)
        else:
            _require_free(tx, session, place, taken)
        last = max(last, place)
        info = _info(tx, session, one, place, content)
        named[info.chunk_id], taken[place] = info, info.chunk_id
        fresh.append((info, content))
        answers.append(info)
    _keep(tx, session, fresh)
    return answers


def _known(
    tx: Transaction, session: Row[Any], one: NewChunk, named: dict[str, ChunkInfo]
) -> ChunkInfo | None:
    if one.chunk_id is None:
        return None
    if one.chunk_id in named:
        return named[one.chunk_id]
    row = tx.execute(_BY_NAME, {"uid": session.uid, "name": one.chunk_id}).one_or_none()
    return None if row is None else ChunkInfo(**row._asdict())


def _require_same(known: ChunkInfo, one: NewChunk, content: PreparedContent) -> None:
    """Raise ChunkConflict unless a chunk that bears a known name is sent again as it is."""
    said = {
        "content": content.sha256 == known.sha256,
        "format": one.format == known.format,
        "sequence": one.sequence in (None, known.sequence),
        "speaker": one.speaker == known.speaker,
        "tags": list(dict.fromkeys(one.tags)) == known.tags,
        "metadata": same_json(one.metadata, known.metadata),
    }
    differs = [name for name, same in said.items() if not same]
    if differs:
        raise ChunkConflict(
            f"chunk '{known.chunk_id}' is there already with other {', '.join(differs)}",
            chunk_id=known.chunk_id,
            differs=differs,
            sequence=known.sequence,
            sha256=known.sha256,
        )


def _behind(session: Row[Any], last: int) -> int:
    """The place behind the last chunk; raises SequenceUsedUp."""
    if last >= limits.SEQUENCE_MAX:
        raise SequenceUsedUp(f"a chunk stands at {last} in session '{session.id}', the last place is taken")
    return last + 1


def _require_free(tx: Transaction, session: Row[Any], place: int, taken: dict[int, str]) -> None:
    name = taken.get(place)
    if name is None:
        name = tx.execute(_AT, {"uid": session.uid, "sequence": place}).scalar_one_or_none()
    if name is not None:
        raise SequenceTaken(f"chunk '{name}' stands at {place} in session '{session.id}'", chunk_id=name)


def _info(
    tx: Transaction, session: Row[Any], one: NewChunk, place: int, content: PreparedContent
) -> ChunkInfo:
    id_ = tx.new_id()
    return ChunkInfo(
        id=id_,
        session_id=session.id,
        chunk_id=one.chunk_id or id_,
        sequence=place,
        format=one.format,
        speaker=one.speaker,
        tags=list(dict.fromkeys(one.tags)),
        metadata=one.metadata,
        bytes=content.bytes,
        sha256=content.sha256,
        author=tx.caller.agent_name,
        created_at=tx.now,
    )


def _keep(tx: Transaction, session: Row[Any], fresh: Sequence[tuple[ChunkInfo, PreparedContent]]) -> None:
    if not fresh:
        return
    keep(tx, session.uid, fresh)
    added = ChunksAdded(session_id=session.id, chunks=[info for info, _ in fresh])
    tx.emit(NewEvent(SESSION_CHUNKS_ADDED, f"session/{session.id}", added))


def keep(tx: Transaction, uid: str, fresh: Sequence[tuple[ChunkInfo, PreparedContent]]) -> None:
    """Keep chunks of a session and have them found by their words; no event tells of it."""
    place = {"session_uid": uid, "workspace_id": tx.workspace_id}
    tx.insert(_ADD, [dict(info) | place | {"content": content.text} for info, content in fresh])
    for info, content in fresh:
        about = document_words(uid, info.author, info.tags, info.speaker)
        tx.index_words(DOCUMENT, info.id, content.words.behind(about))


def document_words(uid: str, author: str | None, tags: Sequence[str], speaker: str) -> list[str]:
    """The words by which a chunk is found besides those of its content: marks to narrow by, the speaker."""
    authors = [] if author is None else [mark("a", author)]
    return [mark("s", uid), *authors, *(mark("t", tag) for tag in tags), *words_of(speaker)]


def _page(tx: Transaction, uid: str, request: ListChunks) -> tuple[list[Any], str | None]:
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
    found = tx.execute(statement.order_by(order).limit(request.limit + 1)).all()
    shown: list[Any] = []
    size = 0
    for row in found[: request.limit]:
        size += row.bytes
        if shown and size > limits.CONTENT_PAGE_BYTES_MAX:
            break
        shown.append(row)
    return shown, encode_cursor(shown[-1].sequence) if len(shown) < len(found) else None


def _read(tx: Transaction, uid: str, shown: Sequence[Any], share: int) -> list[Row[Any]]:
    piece = func.substr(_table.content, 1, share + 1).label("content")
    statement: Select[Any] = select(*_INFO, piece).where(
        _table.session_uid == uid, _table.sequence.in_([row.sequence for row in shown])
    )
    return list(tx.execute(statement).all())


def _with_content(row: Row[Any], share: int) -> Chunk:
    fields = row._asdict()
    return Chunk(**fields | {"content": fields["content"][:share]}, truncated=len(fields["content"]) > share)
