"""What memories are near a question in meaning: vectors of both compared, one by one, in memory.

Twenty thousand are compared in some milliseconds, so that no index of vectors is needed; numpy is loaded
only where embeddings are configured.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from repomesh.domains.overview.search_models import Recall
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
    """The question with its vector, where embeddings are configured and memories are asked for."""
    if preparation.store.settings.embeddings_url is None or "memory" not in request.what:
        return request
    made = await preparation.embedder.embed(EmbeddingRequest((request.text,)))
    vector = made.vectors[0] if made.vectors else b""
    return QuestionVector(**request.model_dump(), vector=vector, model=made.model, refusal=made.refusal)


def near(tx: Transaction, request: Recall) -> tuple[Mapping[str, float], str | None]:
    """The memories nearest in meaning, each with a figure up to 1; or why there are none.

    The figure is how much nearer one is than most are, beside the nearest: models differ in what they
    call near, and so only memories are compared with each other.
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
    vectors = _vectors.of(tx, request.model, numpy)
    if vectors is None:
        return {}, None
    asked = numpy.frombuffer(request.vector, dtype=numpy.float32)
    if asked.shape[0] != vectors.matrix.shape[1]:
        return {}, _DIMENSIONS_CHANGED
    likeness = vectors.matrix @ asked
    usual, most = float(likeness.mean()), float(likeness.max())
    order = numpy.argsort(-likeness, kind="stable")[: limits.RECALL_NEAR]
    reach = max(most - usual, 1e-6)
    found = {vectors.ids[place]: (float(likeness[place]) - usual) / reach for place in order}
    return {id_: figure for id_, figure in found.items() if figure > 0}, None


class _Vectors:
    """The newest vectors of a workspace, a row each, as far as row `last` of the table."""

    def __init__(self, ids: list[str], matrix: Any, last: int) -> None:
        self.ids = ids
        self.matrix = matrix
        self.last = last


class _Kept:
    """The vectors of the workspaces that were asked about lately.

    A row of the table is never changed and its number never given out again, so that only newer ones are
    read. What was deleted stays here until then; it is not found among the memories.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: OrderedDict[tuple[str, str], _Vectors] = OrderedDict()

    def of(self, tx: Transaction, model: str, numpy: Any) -> _Vectors | None:
        """The vectors of the transaction's workspace by one model; None when there are none."""
        key = (tx.workspace_id, model)
        with self._lock:
            known = self._of.get(key)
        newest = _read(tx, model, 0 if known is None else known.last)
        if newest:
            known = _joined(known, newest, numpy)
        if known is not None:
            with self._lock:
                self._of[key] = known
                self._of.move_to_end(key)
                while len(self._of) > limits.VECTORS_WORKSPACES_MAX:
                    self._of.popitem(last=False)
        return known


def _read(tx: Transaction, model: str, after: int) -> list[Any]:
    """The newest rows behind `after`, oldest first."""
    here = _table.workspace_id == tx.workspace_id, _table.model == model, _table.id > after
    statement = select(_table.id, _table.memory_id, _table.vector).where(*here)
    rows = tx.execute(statement.order_by(_table.id.desc()).limit(limits.VECTORS_MAX)).all()
    return list(reversed(rows))


def _joined(known: _Vectors | None, rows: list[Any], numpy: Any) -> _Vectors:
    """What was known, with newer rows in the place of older ones of the same memories."""
    length = len(rows[-1].vector)
    newest = {row.memory_id: row.vector for row in rows if len(row.vector) == length}
    fresh = numpy.frombuffer(b"".join(newest.values()), dtype=numpy.float32).reshape(len(newest), -1)
    ids, matrix = list(newest), fresh
    if known is not None and known.matrix.shape[1] == fresh.shape[1]:
        places = [place for place, id_ in enumerate(known.ids) if id_ not in newest]
        ids = [known.ids[place] for place in places] + ids
        matrix = numpy.concatenate([known.matrix[places], fresh])
    surplus = max(len(ids) - limits.VECTORS_MAX, 0)
    return _Vectors(ids[surplus:], matrix[surplus:], rows[-1].id)


_vectors = _Kept()
