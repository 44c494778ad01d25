"""What was found by its words, as rows: read by type, with the conditions that the index does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, and_, func, select

from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.search_models import SearchResult, What
from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.rows import kept
from repomesh.domains.sessions.tables import (
    artifact_versions,
    artifacts,
    chunks,
    memories,
    session_tasks,
    sessions,
)
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.limits import ARTIFACT_STORED_BYTES_MAX, SEARCH_TEXT_CHARS
from repomesh.store.transaction import Transaction

_SAID = (
    *("id", "session_id", "chunk_id", "format", "speaker", "tags", "author", "created_at", "sequence"),
    "bytes",
)
_MADE = (
    *("id", "session_id", "artifact_id", "type", "title", "description", "tags", "author", "updated_at"),
    *("media_type", "bytes", "url"),
)


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """Something that may be shown, the beginning of its text, and what else it is found by.

    `chars` is about the length of its whole text, where that is longer.
    """

    fields: Mapping[str, Any]
    text: str
    about: str = ""
    chars: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether its text goes on."""
        return self.chars > SEARCH_TEXT_CHARS

    def found(self, shown: TextExcerpt) -> SearchResult:
        """As it is shown."""
        return SearchResult(**self.fields, snippet=shown.snippet, elsewhere=shown.elsewhere)


@dataclass(frozen=True, slots=True)
class TextExcerpt:
    """What is shown of a text, and where its match is when that is not in it."""

    snippet: str
    elsewhere: str | None = None


class SearchConditions(Protocol):
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


def read(tx: Transaction, ids: Mapping[What, Sequence[str]]) -> dict[str, TextCandidate]:
    """The candidates among some ids of each type that are there, current, and for the caller to see."""
    found: dict[str, TextCandidate] = {}
    for what, some in ids.items():
        if some:
            found |= {candidate.fields["id"]: candidate for candidate in _READERS[what](tx, some)}
    return found


def meets(candidate: TextCandidate, wanted: SearchConditions) -> bool:
    """Whether a candidate is of the session and type, and has the tags, that are asked for."""
    fields = candidate.fields
    if wanted.session_id is not None and fields["session_id"] != wanted.session_id:
        return False
    if wanted.type is not None and fields["type"] != wanted.type:
        return False
    return set(wanted.tags) <= set(fields["tags"])


def _chunks(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = chunks.c
    columns = [table[name] for name in _SAID]
    text = func.substr(table.content, 1, SEARCH_TEXT_CHARS).label("text")
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), kept(tx, table.session_uid)
    return [
        _candidate(
            "chunk",
            row,
            text=without_escapes(row.text, is_json=row.format == "json"),
            about=row.speaker,
            chars=row.bytes,
            key=row.chunk_id,
            session_id=row.session_id,
            type=row.format,
            title=f"{row.speaker or 'chunk'} {row.sequence}",
            author=row.author,
            at=row.created_at,
        )
        for row in tx.execute(select(*columns, text).where(*here))
    ]


def _memories(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = memories.c
    columns = [table[name] for name in ["id", "session_id", "key", "type", "tags", "author", "updated_at"]]
    here = (
        table.workspace_id == tx.workspace_id,
        table.id.in_(ids),
        table.status == "current",
        kept(tx, table.session_uid),
    )
    return [
        _candidate(
            "memory",
            row,
            text=memory_rows.readable(row.content),
            about=" ".join((row.key, *row.tags)),
            key=row.key,
            session_id=row.session_id,
            type=row.type,
            title=row.key,
            author=row.author,
            at=row.updated_at,
        )
        for row in tx.execute(select(*columns, table.content).where(*here))
    ]


def _artifacts(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
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
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), kept(tx, table.session_uid)
    return [
        _candidate(
            "artifact",
            row,
            text=f"{row.description}\n{_beginning(row.raw, row.media_type)}".strip(),
            about=" ".join((row.title, row.artifact_id, *row.tags)),
            chars=row.bytes if row.url is None else 0,
            key=row.artifact_id,
            session_id=row.session_id,
            type=row.type,
            title=row.title,
            author=row.author,
            at=row.updated_at,
        )
        for row in tx.execute(statement.where(*here))
    ]


def _beginning(raw: Any, media_type: str) -> str:
    text = bytes(raw or b"").decode(errors="ignore")
    return without_escapes(text, is_json=media_type.startswith("application/json"))


def _messages(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = messages.c
    names = ["id", "subject", "tags", "priority", "sender_name", "created_at", "body_chars"]
    columns = [table[name] for name in names]
    text = func.substr(table.body, 1, SEARCH_TEXT_CHARS).label("text")
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), message_rows.visible(tx.caller)
    priorities = {rank: name for name, rank in message_rules.RANKS.items()}
    return [
        _candidate(
            "message",
            row,
            text=without_escapes(row.text),
            about=row.subject,
            chars=row.body_chars,
            key=None,
            session_id=None,
            type=priorities[row.priority],
            title=row.subject,
            author=row.sender_name,
            at=row.created_at,
        )
        for row in tx.execute(select(*columns, text).where(*here))
    ]


def _tasks(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table, link = tasks.c, session_tasks.c
    columns = [table[name] for name in ["id", "goal", "type", "tags", "agent_name", "updated_at"]]
    statement = (
        select(*columns, table.description, link.key, sessions.c.id.label("session_id"))
        .outerjoin(session_tasks, link.task_id == table.id)
        .outerjoin(sessions, sessions.c.uid == link.session_uid)
    )
    return [
        _candidate(
            "task",
            row,
            text=row.description,
            about=row.goal,
            key=row.key,
            session_id=row.session_id,
            type=row.type,
            title=row.goal,
            author=row.agent_name,
            at=row.updated_at,
        )
        for row in tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id.in_(ids)))
    ]


def _decisions(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = decisions.c
    names = ["id", "topic", "decision", "rationale", "status", "recorded_by", "created_at"]
    here = table.workspace_id == tx.workspace_id, table.id.in_(ids), table.status == "active"
    return [
        _candidate(
            "decision",
            row,
            text=f"{row.decision}\n{row.rationale}".strip(),
            about=row.topic,
            key=None,
            session_id=None,
            type=row.status,
            title=row.topic,
            author=row.recorded_by,
            at=row.created_at,
        )
        for row in tx.execute(select(*[table[name] for name in names]).where(*here))
    ]


def _candidate(
    what: What, row: Row[Any], text: str, about: str, chars: int | None = None, **fields: Any
) -> TextCandidate:
    """A candidate; `chars` are those of its whole text where `text` is only the beginning."""
    tags = getattr(row, "tags", [])  # decisions have none
    fields |= {"what": what, "id": row.id, "tags": tags}
    return TextCandidate(fields, text[:SEARCH_TEXT_CHARS], about, len(text) if chars is None else chars)


_READERS: Mapping[What, Callable[[Transaction, Sequence[str]], list[TextCandidate]]] = {
    "chunk": _chunks,
    "memory": _memories,
    "artifact": _artifacts,
    "message": _messages,
    "task": _tasks,
    "decision": _decisions,
}
