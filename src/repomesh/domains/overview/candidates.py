"""What was found by its words, as rows: read by type, with the conditions that the index does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, and_, func, select

from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging import rows as message_rows
from repomesh.domains.messaging import rules as message_rules
from repomesh.domains.messaging.tables import messages
from repomesh.domains.overview.search_models import Found, What
from repomesh.domains.sessions.fields import as_text
from repomesh.domains.sessions.tables import (
    artifact_versions,
    artifacts,
    chunks,
    memories,
    session_tasks,
    sessions,
)
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.limits import ARTIFACT_STORED_BYTES_MAX, SEARCH_TEXT_CHARS
from repomesh.store.transaction import Transaction

_SAID = ("id", "session_id", "chunk_id", "format", "speaker", "tags", "author", "created_at", "sequence")
_MADE = ("id", "session_id", "artifact_id", "type", "title", "description", "tags", "author", "updated_at")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be shown, and its text."""

    fields: Mapping[str, Any]
    text: str

    def found(self, snippet: str) -> Found:
        """As it is shown."""
        return Found(**self.fields, snippet=snippet)


class Wanted(Protocol):
    """The conditions of a search."""

    @property
    def session_id(self) -> str | None:
        """Only of this session."""

    @property
    def type(self) -> str | None:
        """Only of this type."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Only with all of these."""


def read(tx: Transaction, ids: Mapping[What, Sequence[str]]) -> dict[str, Candidate]:
    """The candidates among some ids of each type that are there, current, and for the caller to see."""
    found: dict[str, Candidate] = {}
    for what, some in ids.items():
        if some:
            found |= {candidate.fields["id"]: candidate for candidate in _READERS[what](tx, some)}
    return found


def meets(candidate: Candidate, wanted: Wanted) -> bool:
    """Whether a candidate is of the session and type, and has the tags, that are asked for."""
    fields = candidate.fields
    if wanted.session_id is not None and fields["session_id"] != wanted.session_id:
        return False
    if wanted.type is not None and fields["type"] != wanted.type:
        return False
    return set(wanted.tags) <= set(fields["tags"])


def _chunks(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table = chunks.c
    columns = [table[name] for name in _SAID]
    text = func.substr(table.content, 1, SEARCH_TEXT_CHARS).label("text")
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids)
    return [
        _candidate(
            "chunk",
            row,
            key=row.chunk_id,
            session_id=row.session_id,
            type=row.format,
            title=f"{row.speaker or 'chunk'} {row.sequence}",
            author=row.author,
            at=row.created_at,
        )
        for row in tx.execute(select(*columns, text).where(*here))
    ]


def _memories(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table = memories.c
    columns = [table[name] for name in ["id", "session_id", "key", "type", "tags", "author", "updated_at"]]
    # The text as it stands in the row: JSON, of which a string is undone below.
    text = table.content.label("text")
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), table.status == "current"
    return [
        _candidate(
            "memory",
            row,
            key=row.key,
            session_id=row.session_id,
            type=row.type,
            title=row.key,
            author=row.author,
            at=row.updated_at,
        )
        for row in tx.execute(select(*columns, text).where(*here))
    ]


def _artifacts(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table, version = artifacts.c, artifact_versions.c
    columns = [table[name] for name in _MADE]
    newest = and_(
        version.workspace_id == table.workspace_id,
        version.artifact_id == table.id,
        version.version == table.version,
    )
    small = table.bytes <= ARTIFACT_STORED_BYTES_MAX
    raw = func.substr(version.content, 1, SEARCH_TEXT_CHARS, type_=version.content.type).label("raw")
    statement = select(*columns, raw).outerjoin(artifact_versions, and_(newest, small))
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids)
    return [
        _candidate(
            "artifact",
            row,
            text=f"{row.description}\n{bytes(row.raw or b'').decode(errors='ignore')}".strip(),
            key=row.artifact_id,
            session_id=row.session_id,
            type=row.type,
            title=row.title,
            author=row.author,
            at=row.updated_at,
        )
        for row in tx.execute(statement.where(*here))
    ]


def _messages(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table = messages.c
    columns = [table[name] for name in ["id", "subject", "tags", "priority", "sender_name", "created_at"]]
    text = func.substr(table.body, 1, SEARCH_TEXT_CHARS).label("text")
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), message_rows.visible(tx.caller)
    names = {rank: name for name, rank in message_rules.RANKS.items()}
    return [
        _candidate(
            "message",
            row,
            key=None,
            session_id=None,
            type=names[row.priority],
            title=row.subject,
            author=row.sender_name,
            at=row.created_at,
        )
        for row in tx.execute(select(*columns, text).where(*here))
    ]


def _tasks(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table, link = tasks.c, session_tasks.c
    columns = [table[name] for name in ["id", "goal", "type", "tags", "agent_name", "updated_at"]]
    text = func.substr(table.description, 1, SEARCH_TEXT_CHARS).label("text")
    statement = (
        select(*columns, text, link.key, sessions.c.id.label("session_id"))
        .outerjoin(session_tasks, link.task_id == table.id)
        .outerjoin(sessions, sessions.c.uid == link.session_uid)
    )
    return [
        _candidate(
            "task",
            row,
            key=row.key,
            session_id=row.session_id,
            type=row.type,
            title=row.goal,
            author=row.agent_name,
            at=row.updated_at,
        )
        for row in tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id.in_(ids)))
    ]


def _decisions(tx: Transaction, ids: Sequence[str]) -> list[Candidate]:
    table = decisions.c
    names = ["id", "topic", "decision", "rationale", "status", "recorded_by", "created_at"]
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), table.status == "active"
    return [
        _candidate(
            "decision",
            row,
            text=f"{row.decision}\n{row.rationale}".strip(),
            key=None,
            session_id=None,
            type=row.status,
            title=row.topic,
            author=row.recorded_by,
            at=row.created_at,
        )
        for row in tx.execute(select(*[table[name] for name in names]).where(*here))
    ]


def _candidate(what: What, row: Row[Any], text: Any = None, **fields: Any) -> Candidate:
    shown = row.text if text is None else text
    if not isinstance(shown, str):
        shown = as_text(shown)
    tags = getattr(row, "tags", [])  # decisions have none
    return Candidate({"what": what, "id": row.id, "tags": tags, **fields}, shown[:SEARCH_TEXT_CHARS])


_READERS: Mapping[What, Callable[[Transaction, Sequence[str]], list[Candidate]]] = {
    "chunk": _chunks,
    "memory": _memories,
    "artifact": _artifacts,
    "message": _messages,
    "task": _tasks,
    "decision": _decisions,
}
