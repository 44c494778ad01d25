"""Whole texts, as they are searched and shown: those of JSON without its escapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, and_, select

from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.search_models import What
from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.artifact_models import readable
from repomesh.domains.sessions.tables import artifact_versions, artifacts, chunks, memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.json_text import without_escapes
from repomesh.store.transaction import Transaction


def whole(tx: Transaction, what: What, id_: str) -> str:
    """All of the text of something that is there."""
    return _READERS[what](tx, id_)


def _columns(tx: Transaction, table: Table, names: Sequence[str], id_: str) -> Row[Any]:
    here = table.c.workspace_id == tx.workspace_id, table.c.id == id_
    return tx.execute(select(*(table.c[name] for name in names)).where(*here)).one()


def _chunk_text(tx: Transaction, id_: str) -> str:
    row = _columns(tx, chunks, ("content", "format"), id_)
    return without_escapes(row.content, is_json=row.format == "json")


def _memory_text(tx: Transaction, id_: str) -> str:
    return memory_rows.readable(_columns(tx, memories, ("content",), id_).content)


def _message_text(tx: Transaction, id_: str) -> str:
    return without_escapes(_columns(tx, messages, ("body",), id_).body)


def _task_text(tx: Transaction, id_: str) -> str:
    return str(_columns(tx, tasks, ("description",), id_).description)


def _decision_text(tx: Transaction, id_: str) -> str:
    row = _columns(tx, decisions, ("decision", "rationale"), id_)
    return f"{row.decision}\n{row.rationale}".strip()


def _artifact_text(tx: Transaction, id_: str) -> str:
    table, version = artifacts.c, artifact_versions.c
    columns = table.description, table.media_type, table.url, table.sha256, version.content
    newest = and_(
        version.workspace_id == table.workspace_id,
        version.artifact_id == table.id,
        version.version == table.version,
    )
    statement = select(*columns).join(artifact_versions, newest)
    row = tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id == id_)).one()
    if row.url is not None:
        return f"{row.description}\n"
    try:
        raw = artifact_rows.content_bytes(tx, row)
    except DamagedRecord:  # whoever reads the artifact is told; what is left of it is still found and shown
        raw = b""
    return f"{row.description}\n{readable(raw, row.media_type)}"


_READERS: Mapping[What, Callable[[Transaction, str], str]] = {
    "chunk": _chunk_text,
    "memory": _memory_text,
    "artifact": _artifact_text,
    "message": _message_text,
    "task": _task_text,
    "decision": _decision_text,
}
