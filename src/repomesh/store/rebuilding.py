"""Documents of an older form of the full-text index, rebuilt behind the commands, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from sqlalchemy import delete, exists, select, update

from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import documents, text_rebuild
from repomesh.store.transaction import Transaction

_STATE = PreparedStatement(select(text_rebuild.c.below, text_rebuild.c.started_at))
_newer = documents.alias("newer").c


@dataclass(frozen=True, slots=True)
class OutdatedDocument:
    """A document whose words are of an older form.

    `is_double` says that the same subject has a newer document: what was cut in parts is one document now.
    """

    id: int
    workspace_id: str
    type: str
    subject_id: str
    is_double: bool


@dataclass(frozen=True, slots=True)
class RebuildQueue:
    """Some documents that have to be rebuilt, newest first; all of them stand below `below`."""

    below: int
    documents: Sequence[OutdatedDocument]


def left_percent(tx: Transaction) -> int | None:
    """About what percentage of the documents still has to be rebuilt, 1 to 100; None when none has."""
    state = tx.execute(_STATE, {}).one_or_none()
    return None if state is None else max(1, ceil(100 * state.below / max(state.started_at, 1)))


def remaining(tx: Transaction, count: int) -> RebuildQueue | None:
    """The newest `count` documents of all workspaces that have to be rebuilt; None when all are."""
    state = tx.execute(_STATE, {}).one_or_none()
    if state is None:
        return None
    table = documents.c
    has_newer = exists().where(
        _newer.workspace_id == table.workspace_id,
        _newer.type == table.type,
        _newer.subject_id == table.subject_id,
        _newer.id > table.id,
    )
    columns = table.id, table.workspace_id, table.type, table.subject_id, has_newer.label("is_double")
    newest = select(*columns).where(table.id < state.below).order_by(table.id.desc()).limit(count)
    return RebuildQueue(state.below, [OutdatedDocument(**row._asdict()) for row in tx.execute(newest)])


def settle(
    tx: Transaction, batch: RebuildQueue, words: Mapping[int, tuple[str, Sequence[str]]], *, all_done: bool
) -> bool:
    """Set the words, (type, words) by id, of documents of `batch`, and delete the batch's other documents.

    Returns False, and changes nothing, when the queue has changed since the batch was read.
    """
    state = tx.execute(_STATE, {}).one_or_none()
    if state is None or state.below != batch.below:
        return False
    outdated_ids = [document.id for document in batch.documents if document.id not in words]
    if outdated_ids:
        tx.execute(delete(documents).where(documents.c.id.in_(outdated_ids)))
    tx.text_index.rebuild(tx.connection, words)
    if all_done:
        tx.execute(delete(text_rebuild))
    else:
        tx.execute(update(text_rebuild).values(below=batch.documents[-1].id))
    return True
