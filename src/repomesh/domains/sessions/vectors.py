"""What memories mean, as vectors: made behind the commands, and again when a memory or the model changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import and_, delete, insert, or_, select

from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.tables import memories, memory_vectors
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.embeddings import Embedding, Texts
from repomesh.kernel.operation import Consulting, Model, command
from repomesh.store.transaction import Transaction

_table, _vectors = memories.c, memory_vectors.c


class EmbedMemories(Model):
    """Make vectors of some memories that have none of the present model."""

    after: Timestamp | None = Field(None, description="Only of those that changed since, or shortly before.")


class _Embedded(EmbedMemories):
    """The same, with what the model made of them."""

    found: list[tuple[str, int, Timestamp]]
    vectors: list[bytes]
    model: str
    refusal: str


class MemoriesEmbedded(Model):
    """How many got a vector, and up to where nothing is left to do."""

    count: int
    after: Timestamp | None


def _question(tx: Transaction, request: EmbedMemories) -> Texts | None:
    """The memories that were changed longest ago and have no vector of what they say now."""
    if tx.settings.embeddings_url is None:
        return None
    stale = or_(
        _vectors.id.is_(None),
        _vectors.version != _table.version,
        _vectors.model != tx.settings.embeddings_model,
    )
    same = and_(_vectors.workspace_id == _table.workspace_id, _vectors.memory_id == _table.id)
    statement = (
        select(memories)
        .outerjoin(memory_vectors, same)
        .where(_table.workspace_id == tx.workspace_id, _table.status == "current", stale)
    )
    if request.after is not None:
        overlap = timedelta(seconds=limits.EMBEDDING_OVERLAP_S)
        statement = statement.where(_table.updated_at >= request.after - overlap)
    ordered = statement.order_by(_table.updated_at, _table.id).limit(limits.EMBEDDING_TEXTS_MAX)
    rows = tx.execute(ordered).all()
    if not rows:
        return None
    about = tuple((row.id, row.version, row.updated_at) for row in rows)
    return Texts(tuple(_text(row) for row in rows), about)


def _text(row: Any) -> str:
    memory = memory_rows.as_memory(row)
    return f"{memory.key}\n{memory_rows.text_of(memory)}"[: limits.EMBEDDING_TEXT_CHARS]


def _answered(request: EmbedMemories, wanted: Texts, made: Embedding) -> _Embedded:
    return _Embedded(
        after=request.after,
        found=list(wanted.about),
        vectors=list(made.vectors),
        model=made.model,
        refusal=made.refusal,
    )


@command("memory.embed", scope="workspace:admin", consults=Consulting(_question, _answered))
def embed_memories(tx: Transaction, request: EmbedMemories) -> MemoriesEmbedded:
    """Keep the vectors that a model made. Nobody sees them, so that no event tells of it."""
    if not isinstance(request, _Embedded) or request.refusal:
        return MemoriesEmbedded(count=0, after=request.after)
    ids = [id_ for id_, _, _ in request.found]
    there = select(_table.id).where(_table.workspace_id == tx.workspace_id, _table.id.in_(ids))
    kept = set(tx.execute(there).scalars())
    old = _vectors.workspace_id == tx.workspace_id, _vectors.memory_id.in_(ids)
    tx.execute(delete(memory_vectors).where(*old))
    new = [
        {
            "workspace_id": tx.workspace_id,
            "memory_id": id_,
            "version": version,
            "model": request.model,
            "vector": vector,
        }
        for (id_, version, _), vector in zip(request.found, request.vectors, strict=True)
        if id_ in kept
    ]
    if new:
        tx.execute(insert(memory_vectors), new)
    return MemoriesEmbedded(count=len(request.found), after=request.found[-1][2])
