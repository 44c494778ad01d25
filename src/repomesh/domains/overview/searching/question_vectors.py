"""Finds the memories nearest to a question in meaning: compares the vectors of both, one by one, in memory.

Twenty thousand are compared in some milliseconds, so no index of vectors is needed; numpy is loaded only
where embeddings are configured.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from repomesh.domains.overview.searching.models import Recall
from repomesh.domains.sessions.tables import memory_vectors
from repomesh.kernel import limits
from repomesh.kernel.ports import EmbeddingRequest
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction

_table = memory_vectors.c
_NUMPY_MISSING = "numpy is not installed: install repomesh with the extra 'embeddings'"
_IN_A_BATCH = "a batch asks no model"
_DIMENSIONS_CHANGED = "the model's vectors have another length now; they are made anew when memories change"


class QuestionVector(Recall):
    """A question with its vector, or why there is none."""

    vector: bytes = b""
    model: str = ""
    refusal: str = ""


async def prepare(request: Recall, preparation: Preparation) -> Recall:
    """Add its vector to a question if embeddings are configured and memories are asked for."""
    if preparation.store.settings.embeddings_url is None or "memory" not in request.what:
        return request
    embeddings = await preparation.embedder.embed(EmbeddingRequest((request.text,)))
    vector = embeddings.vectors[0] if embeddings.vectors else b""
    return QuestionVector(
        **request.model_dump(), vector=vector, model=embeddings.model, refusal=embeddings.refusal
    )


def near(tx: Transaction, request: Recall) -> tuple[Mapping[str, float], str | None]:
    """Return the memories nearest in meaning, by id with a figure up to 1, and why there are none.

    The figure is how far a memory lies above the mean likeness, relative to the nearest: the scales of models
    differ, so memories are compared only with each other.
    """
    if "memory" not in request.what:
        return {}, None
    if not isinstance(request, QuestionVector):
        return {}, _IN_A_BATCH
    if request.refusal:
        return {}, request.refusal
    try:
        import numpy
    except ImportError:
        return {}, _NUMPY_MISSING
    vectors = _vector_cache.load(tx, request.model, numpy)
    if vectors is None:
        return {}, None
    question_vector = numpy.frombuffer(request.vector, dtype=numpy.float32)
    if question_vector.shape[0] != vectors.matrix.shape[1]:
        return {}, _DIMENSIONS_CHANGED
    likeness = vectors.matrix @ question_vector
    mean_likeness, highest_likeness = float(likeness.mean()), float(likeness.max())
    order = numpy.argsort(-likeness, kind="stable")[: limits.RECALL_NEAR]
    spread = max(highest_likeness - mean_likeness, 1e-6)
    figures_by_id = {vectors.ids[index]: (float(likeness[index]) - mean_likeness) / spread for index in order}
    return {memory_id: figure for memory_id, figure in figures_by_id.items() if figure > 0}, None


class _Vectors:
    """The newest vectors of a workspace, one in each row of `matrix`, up to the table's row `last_row_id`."""

    def __init__(self, ids: list[str], matrix: Any, last_row_id: int) -> None:
        self.ids = ids
        self.matrix = matrix
        self.last_row_id = last_row_id


class _VectorCache:
    """Caches the vectors of the workspaces that were searched last.

    Rows of the table are never changed and their ids never reused, so only newer ones are read. A deleted
    one stays here until its workspace is evicted; its memory is not found any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors_by_key: OrderedDict[tuple[str, str], _Vectors] = OrderedDict()

    def load(self, tx: Transaction, model: str, numpy: Any) -> _Vectors | None:
        """Return the vectors of the transaction's workspace by one model; None when there are none."""
        key = (tx.workspace_id, model)
        with self._lock:
            cached = self._vectors_by_key.get(key)
        newer_rows = _read_newer(tx, model, 0 if cached is None else cached.last_row_id)
        if newer_rows:
            cached = _merge_vectors(cached, newer_rows, numpy)
        if cached is not None:
            with self._lock:
                self._vectors_by_key[key] = cached
                self._vectors_by_key.move_to_end(key)
                while len(self._vectors_by_key) > limits.VECTORS_WORKSPACES_MAX:
                    self._vectors_by_key.popitem(last=False)
        return cached


def _read_newer(tx: Transaction, model: str, after_id: int) -> list[Any]:
    """Read the newest rows with an id above `after_id`, oldest first."""
    criteria = _table.workspace_id == tx.workspace_id, _table.model == model, _table.id > after_id
    statement = select(_table.id, _table.memory_id, _table.vector).where(*criteria)
    rows = tx.execute(statement.order_by(_table.id.desc()).limit(limits.VECTORS_MAX)).all()
    return list(reversed(rows))


def _merge_vectors(cached: _Vectors | None, rows: list[Any], numpy: Any) -> _Vectors:
    """Add newer rows to cached vectors, in the place of older ones of the same memories."""
    length = len(rows[-1].vector)
    vectors_by_id = {row.memory_id: row.vector for row in rows if len(row.vector) == length}
    new_matrix = numpy.frombuffer(b"".join(vectors_by_id.values()), dtype=numpy.float32).reshape(
        len(vectors_by_id), -1
    )
    ids, matrix = list(vectors_by_id), new_matrix
    if cached is not None and cached.matrix.shape[1] == new_matrix.shape[1]:
        kept_indexes = [index for index, memory_id in enumerate(cached.ids) if memory_id not in vectors_by_id]
        ids = [cached.ids[index] for index in kept_indexes] + ids
        matrix = numpy.concatenate([cached.matrix[kept_indexes], new_matrix])
    surplus = max(len(ids) - limits.VECTORS_MAX, 0)
    return _Vectors(ids[surplus:], matrix[surplus:], rows[-1].id)


_vector_cache = _VectorCache()
