"""Embedding vectors of memories, computed in the background when a memory or the model changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import Select, and_, delete, insert, or_, select

from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.rows import in_readable_session
from repomesh.domains.sessions.tables import memories, memory_vectors, sessions
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.operation import Model, command
from repomesh.kernel.ports import EmbeddingRequest
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction

_table, _vectors = memories.c, memory_vectors.c


class EmbedMemories(Model):
    """Make vectors of some memories that have none of the present model."""

    after: Timestamp | None = Field(None, description="Only of those that changed since, or shortly before.")


class _Embedded(EmbedMemories):
    """The request with the model's vectors; `found` are (memory id, version, updated at)."""

    found: list[tuple[str, int, Timestamp]]
    vectors: list[bytes]
    model: str
    refusal: str


class MemoriesEmbedded(Model):
    """How many got a vector, and up to where nothing is left to do."""

    count: int
    after: Timestamp | None


def workspaces_to_embed(tx: Transaction, since: datetime | None) -> list[str]:
    """The ids of workspaces with memories that need a vector.

    With `since` only of memories changed since then, or up to EMBEDDING_OVERLAP_S before.
    """
    statement = _without_vector(select(_table.workspace_id).distinct(), tx.settings.embeddings_model)
    unreadable = sessions.c.status.in_(("deleting", "importing"))
    statement = statement.where(_table.session_uid.not_in(select(sessions.c.uid).where(unreadable)))
    if since is not None:
        statement = statement.where(
            _table.updated_at >= since - timedelta(seconds=limits.EMBEDDING_OVERLAP_S)
        )
    return list(tx.execute(statement.order_by(_table.workspace_id)).scalars())


def _without_vector(statement: Select[Any], model: str | None) -> Select[Any]:
    """The select, limited to current memories without a vector of their present version and of `model`."""
    lacks_vector = or_(_vectors.id.is_(None), _vectors.version != _table.version, _vectors.model != model)
    same_memory = and_(_vectors.workspace_id == _table.workspace_id, _vectors.memory_id == _table.id)
    joined = statement.select_from(memories).outerjoin(memory_vectors, same_memory)
    return joined.where(_table.status == "current", lacks_vector)


def _build_request(tx: Transaction, request: EmbedMemories) -> EmbeddingRequest | None:
    """The texts of memories that need a vector, the longest unchanged first; None if none do, or no model."""
    if tx.settings.embeddings_url is None:
        return None
    statement = _without_vector(select(memories), tx.settings.embeddings_model).where(
        _table.workspace_id == tx.workspace_id, in_readable_session(tx, _table.session_uid)
    )
    if request.after is not None:
        overlap = timedelta(seconds=limits.EMBEDDING_OVERLAP_S)
        statement = statement.where(_table.updated_at >= request.after - overlap)
    ordered = statement.order_by(_table.updated_at, _table.id).limit(limits.EMBEDDING_TEXTS_MAX)
    rows = tx.execute(ordered).all()
    if not rows:
        return None
    about = tuple((row.id, row.version, row.updated_at) for row in rows)
    return EmbeddingRequest(tuple(_text(row) for row in rows), about)


def _text(row: Any) -> str:
    memory = memory_rows.as_memory(row)
    return f"{memory.key}\n{memory_rows.text_of(memory)}"[: limits.EMBEDDING_TEXT_CHARS]


async def _prepare(request: EmbedMemories, preparation: Preparation) -> EmbedMemories:
    """Ask the model for the vectors. Returns the request with them, unchanged if there is nothing to do."""
    batch: EmbeddingRequest | None = await preparation.read(lambda tx: _build_request(tx, request))
    if batch is None:
        return request
    embeddings = await preparation.embedder.embed(batch)
    return _Embedded(
        after=request.after,
        found=list(batch.about),
        vectors=list(embeddings.vectors),
        model=embeddings.model,
        refusal=embeddings.refusal,
    )


@command("memory.embed", scope="workspace:admin", prepare=_prepare)
def embed_memories(tx: Transaction, request: EmbedMemories) -> MemoriesEmbedded:
    """Store vectors that a model computed. Nobody sees them, so no event reports them."""
    if not isinstance(request, _Embedded) or request.refusal:
        return MemoriesEmbedded(count=0, after=request.after)
    ids = [id_ for id_, _, _ in request.found]
    existing = select(_table.id).where(_table.workspace_id == tx.workspace_id, _table.id.in_(ids))
    existing_ids = set(tx.execute(existing).scalars())
    old_vectors = _vectors.workspace_id == tx.workspace_id, _vectors.memory_id.in_(ids)
    tx.execute(delete(memory_vectors).where(*old_vectors))
    new_vectors = [
        {
            "workspace_id": tx.workspace_id,
            "memory_id": id_,
            "version": version,
            "model": request.model,
            "vector": vector,
        }
        for (id_, version, _), vector in zip(request.found, request.vectors, strict=True)
        if id_ in existing_ids
    ]
    if new_vectors:
        tx.execute(insert(memory_vectors), new_vectors)
    return MemoriesEmbedded(count=len(request.found), after=request.found[-1][2])
