"""Whole texts, as they are searched and shown: those of JSON without its escapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Table, and_, select

from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.searching.models import What
from repomesh.domains.sessions import artifacts as artifact_rows
from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.artifact_models import readable
from repomesh.domains.sessions.tables import artifact_versions, artifacts, chunks, memories
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.json_text import without_escapes
from repomesh.store.transaction import Transaction

IS_NEWEST_VERSION = and_(
    artifact_versions.c.workspace_id == artifacts.c.workspace_id,
    artifact_versions.c.artifact_id == artifacts.c.id,
    artifact_versions.c.version == artifacts.c.version,
)
"""Joins an artifact with its newest version."""


def read_text(tx: Transaction, kind: What, id_: str) -> str:
    """Read the whole text of something that exists, by its type and id."""
    return _READERS[kind](tx, id_)


def _read_columns(tx: Transaction, table: Table, names: Sequence[str], id_: str) -> Row[Any]:
    criteria = table.c.workspace_id == tx.workspace_id, table.c.id == id_
    return tx.execute(select(*(table.c[name] for name in names)).where(*criteria)).one()


def _chunk_text(tx: Transaction, id_: str) -> str:
    row = _read_columns(tx, chunks, ("content", "format"), id_)
    return without_escapes(row.content, is_json=row.format == "json")


def _memory_text(tx: Transaction, id_: str) -> str:
    return memory_rows.readable(_read_columns(tx, memories, ("content",), id_).content)


def _message_text(tx: Transaction, id_: str) -> str:
    return without_escapes(_read_columns(tx, messages, ("body",), id_).body)


def _task_text(tx: Transaction, id_: str) -> str:
    return str(_read_columns(tx, tasks, ("description",), id_).description)


def _decision_text(tx: Transaction, id_: str) -> str:
    row = _read_columns(tx, decisions, ("decision", "rationale"), id_)
    return f"{row.decision}\n{row.rationale}".strip()


def _artifact_text(tx: Transaction, id_: str) -> str:
    table, version = artifacts.c, artifact_versions.c
    columns = table.description, table.media_type, table.url, table.sha256, version.content
    statement = select(*columns).join(artifact_versions, IS_NEWEST_VERSION)
    row = tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id == id_)).one()
    if row.url is not None:
        return f"{row.description}\n"
    try:
        raw = artifact_rows.content_bytes(tx, row)
    except DamagedRecord:  # reading the artifact itself reports it; its description is still found and shown
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
