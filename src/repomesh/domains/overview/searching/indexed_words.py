"""Reads the words of all that is searched from its rows, to rebuild the full-text index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Row, Table, select

from repomesh.domains.meetings.decisions import rows as decision_rows
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages import sending
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.searching.full_texts import IS_NEWEST_VERSION
from repomesh.domains.sessions import artifact_models, memory_rows
from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import chunks as chunk_rows
from repomesh.domains.sessions.tables import artifact_versions, artifacts, chunks, memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.limits import REBUILD_READ_ROWS
from repomesh.kernel.words import distinct_words, words_of
from repomesh.store.transaction import Transaction

log = structlog.get_logger("repomesh.text_rebuild")


def read(tx: Transaction, kind: str, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (id, words) of what exists of a type with these ids; nothing for an unknown type.

    Finding the words takes long, so call it on a reading connection.
    """
    reader = _READERS.get(kind)
    for start in range(0, len(ids) if reader else 0, REBUILD_READ_ROWS):
        assert reader is not None
        yield from reader(tx, ids[start : start + REBUILD_READ_ROWS])


def _read_rows(tx: Transaction, table: Table, names: Sequence[str], ids: Sequence[str]) -> Sequence[Row[Any]]:
    criteria = table.c.workspace_id == tx.workspace_id, table.c.id.in_(ids)
    return tx.execute(select(table.c.id, *(table.c[name] for name in names)).where(*criteria)).all()


def _read_chunks(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    names = ("session_uid", "author", "tags", "speaker", "format", "content")
    for row in _read_rows(tx, chunks, names, ids):
        marks_and_words = chunk_rows.document_words(row.session_uid, row.author, row.tags, row.speaker)
        text = without_escapes(row.content, is_json=row.format == "json")
        yield row.id, [*marks_and_words, *distinct_words(text)]


def _read_memories(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    names = ("session_uid", "type", "status", "tags", "author", "content", "key")
    for row in _read_rows(tx, memories, names, ids):
        yield row.id, memory_rows.document_words(row._asdict())


def _read_artifacts(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    table, version = artifacts.c, artifact_versions.c
    statement = select(artifacts, version.content).outerjoin(artifact_versions, IS_NEWEST_VERSION)
    for row in tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id.in_(ids))):
        text = artifact_models.readable(_artifact_content(tx, row), row.media_type)
        yield row.id, [*artifact_rows.document_words(row._asdict()), *distinct_words(text)]


def _artifact_content(tx: Transaction, row: Row[Any]) -> bytes:
    if row.url is not None:
        return bytes(row.url.encode())
    try:
        return artifact_rows.content_bytes(tx, row)
    except DamagedRecord as error:  # it is still found by the columns of its row
        log.warning("artifact indexed without its content", artifact_id=row.id, reason=error.message)
        return b""


def _read_messages(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _read_rows(tx, messages, ("subject", "body"), ids):
        yield row.id, [*words_of(row.subject), *sending.body_words(row.body)]


def _read_tasks(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _read_rows(tx, tasks, ("goal", "description"), ids):
        yield row.id, distinct_words(row.goal, row.description)


def _read_decisions(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _read_rows(tx, decisions, ("topic", "decision", "rationale"), ids):
        yield row.id, decision_rows.document_words(row.topic, row.decision, row.rationale)


_Reader = Callable[[Transaction, Sequence[str]], Iterator[tuple[str, list[str]]]]

_READERS: Mapping[str, _Reader] = {
    "chunk": _read_chunks,
    "memory": _read_memories,
    "artifact": _read_artifacts,
    "message": _read_messages,
    "task": _read_tasks,
    "decision": _read_decisions,
}
