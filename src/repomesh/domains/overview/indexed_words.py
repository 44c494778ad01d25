"""The words by which everything is found, read anew from what it is: to rebuild the full-text index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Row, Table, and_, select

from repomesh.domains.meetings.decisions import rows as decision_rows
from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages import sending
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.sessions import artifact_models, memory_rows
from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import chunks as chunk_rows
from repomesh.domains.sessions.tables import artifact_versions, artifacts, chunks, memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.limits import REBUILD_READ_ROWS
from repomesh.kernel.words import different_words, words_of
from repomesh.store.transaction import Transaction

log = structlog.get_logger("repomesh.text_rebuild")


def read(tx: Transaction, what: str, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(id, words) of what is there of a type and some ids of this workspace; of an unknown type nothing.

    It takes as long as finding the words of all of it, and so belongs on a reader.
    """
    reader = _READERS.get(what)
    for start in range(0, len(ids) if reader else 0, REBUILD_READ_ROWS):
        assert reader is not None
        yield from reader(tx, ids[start : start + REBUILD_READ_ROWS])


def _rows(tx: Transaction, table: Table, names: Sequence[str], ids: Sequence[str]) -> Sequence[Row[Any]]:
    here = table.c.workspace_id == tx.workspace_id, table.c.id.in_(ids)
    return tx.execute(select(table.c.id, *(table.c[name] for name in names)).where(*here)).all()


def _chunks(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    names = ("session_uid", "author", "tags", "speaker", "format", "content")
    for row in _rows(tx, chunks, names, ids):
        about = chunk_rows.document_words(row.session_uid, row.author, row.tags, row.speaker)
        text = without_escapes(row.content, is_json=row.format == "json")
        yield row.id, [*about, *different_words(text)]


def _memories(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    names = ("session_uid", "type", "status", "tags", "author", "content", "key")
    for row in _rows(tx, memories, names, ids):
        yield row.id, memory_rows.document_words(row._asdict())


def _artifacts(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    table, version = artifacts.c, artifact_versions.c
    newest = and_(
        version.workspace_id == table.workspace_id,
        version.artifact_id == table.id,
        version.version == table.version,
    )
    statement = select(artifacts, version.content).outerjoin(artifact_versions, newest)
    for row in tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id.in_(ids))):
        text = artifact_models.readable(_artifact_content(tx, row), row.media_type)
        yield row.id, [*artifact_rows.document_words(row._asdict()), *different_words(text)]


def _artifact_content(tx: Transaction, row: Row[Any]) -> bytes:
    if row.url is not None:
        return bytes(row.url.encode())
    try:
        return artifact_rows.content_bytes(tx, row)
    except DamagedRecord as error:  # it is still found by what its row says
        log.warning("artifact indexed without its content", artifact_id=row.id, reason=error.message)
        return b""


def _messages(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _rows(tx, messages, ("subject", "body"), ids):
        yield row.id, [*words_of(row.subject), *sending.body_words(row.body)]


def _tasks(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _rows(tx, tasks, ("goal", "description"), ids):
        yield row.id, different_words(row.goal, row.description)


def _decisions(tx: Transaction, ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for row in _rows(tx, decisions, ("topic", "decision", "rationale"), ids):
        yield row.id, decision_rows.document_words(row.topic, row.decision, row.rationale)


_Reader = Callable[[Transaction, Sequence[str]], Iterator[tuple[str, list[str]]]]

_READERS: Mapping[str, _Reader] = {
    "chunk": _chunks,
    "memory": _memories,
    "artifact": _artifacts,
    "message": _messages,
    "task": _tasks,
    "decision": _decisions,
}
