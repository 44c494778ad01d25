"""Reads the rows of what an index of words found, by type, with conditions that the index does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row, and_, func, select

from repomesh.domains.meetings.decisions.tables import decisions
from repomesh.domains.messaging.messages import rows as message_rows
from repomesh.domains.messaging.messages import rules as message_rules
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.overview.searching.full_texts import IS_NEWEST_VERSION
from repomesh.domains.overview.searching.models import SearchResult, What
from repomesh.domains.sessions import memory_rows
from repomesh.domains.sessions.rows import in_readable_session
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
from repomesh.store.damage import convert_readable
from repomesh.store.transaction import Transaction

_CHUNK_COLUMNS = (
    *("id", "session_id", "chunk_id", "format", "speaker", "tags", "author", "created_at", "sequence"),
    "bytes",
)
_ARTIFACT_COLUMNS = (
    *("id", "session_id", "artifact_id", "type", "title", "description", "tags", "author", "updated_at"),
    *("media_type", "bytes", "url"),
)


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """Something that a search found: its fields, the beginning of its text, and what else it is found by.

    `chars` is about the length of its whole text, where that is longer.
    """

    fields: Mapping[str, Any]
    text: str
    about: str = ""
    chars: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether its whole text is longer than `text`."""
        return self.chars > SEARCH_TEXT_CHARS

    def as_result(self, excerpt: TextExcerpt) -> SearchResult:
        """Return the search result with the excerpt that is shown of the text."""
        return SearchResult(**self.fields, snippet=excerpt.snippet, elsewhere=excerpt.elsewhere)


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


def read(tx: Transaction, ids_by_kind: Mapping[What, Sequence[str]]) -> dict[str, TextCandidate]:
    """Read, by id, the candidates of each type that exist, are current and visible to the caller."""
    candidates_by_id: dict[str, TextCandidate] = {}
    for kind, kind_ids in ids_by_kind.items():
        for candidate in _READERS[kind](tx, kind_ids) if kind_ids else ():
            candidates_by_id[candidate.fields["id"]] = candidate
    return candidates_by_id


def meets(candidate: TextCandidate, conditions: SearchConditions) -> bool:
    """Whether a candidate is of the session and type, and has all tags, of `conditions`."""
    fields = candidate.fields
    if conditions.session_id is not None and fields["session_id"] != conditions.session_id:
        return False
    if conditions.type is not None and fields["type"] != conditions.type:
        return False
    return set(conditions.tags) <= set(fields["tags"])


def _in_readable_sessions(tx: Transaction, table: Any, ids: Sequence[str]) -> tuple[Any, ...]:
    """The conditions for rows of some ids in sessions that the caller may read; `table` is its columns."""
    return (
        table.workspace_id == tx.workspace_id,
        table.id.in_(ids),
        in_readable_session(tx, table.session_uid),
    )


def _read_chunks(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = chunks.c
    columns = [table[name] for name in _CHUNK_COLUMNS]
    text = func.substr(table.content, 1, SEARCH_TEXT_CHARS).label("text")
    criteria = _in_readable_sessions(tx, table, ids)
    return convert_readable(
        tx,
        tx.execute(select(*columns, text).where(*criteria)),
        lambda row: _build_candidate(
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
        ),
        lambda row: f"chunk/{row.id}",
    )


def _read_memories(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = memories.c
    columns = [table[name] for name in ["id", "session_id", "key", "type", "tags", "author", "updated_at"]]
    criteria = *_in_readable_sessions(tx, table, ids), table.status == "current"
    return convert_readable(
        tx,
        tx.execute(select(*columns, table.content).where(*criteria)),
        lambda row: _build_candidate(
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
        ),
        lambda row: f"memory/{row.id}",
    )


def _read_artifacts(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table, version = artifacts.c, artifact_versions.c
    columns = [table[name] for name in _ARTIFACT_COLUMNS]
    small = table.bytes <= ARTIFACT_STORED_BYTES_MAX
    raw = func.substr(version.content, 1, SEARCH_TEXT_CHARS, type_=version.content.type).label("raw")
    statement = select(*columns, raw).outerjoin(artifact_versions, and_(IS_NEWEST_VERSION, small))
    criteria = _in_readable_sessions(tx, table, ids)
    return convert_readable(
        tx,
        tx.execute(statement.where(*criteria)),
        lambda row: _build_candidate(
            "artifact",
            row,
            text=f"{row.description}\n{_decode_beginning(row.raw, row.media_type)}".strip(),
            about=" ".join((row.title, row.artifact_id, *row.tags)),
            chars=row.bytes if row.url is None else 0,
            key=row.artifact_id,
            session_id=row.session_id,
            type=row.type,
            title=row.title,
            author=row.author,
            at=row.updated_at,
        ),
        lambda row: f"artifact/{row.id}",
    )


def _decode_beginning(raw: Any, media_type: str) -> str:
    text = bytes(raw or b"").decode(errors="ignore")
    return without_escapes(text, is_json=media_type.startswith("application/json"))


def _read_messages(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = messages.c
    names = ["id", "subject", "tags", "priority", "sender_name", "created_at", "body_chars"]
    columns = [table[name] for name in names]
    text = func.substr(table.body, 1, SEARCH_TEXT_CHARS).label("text")
    criteria = table.workspace_id == tx.workspace_id, table.id.in_(ids), message_rows.visible(tx.caller)
    priorities = {rank: name for name, rank in message_rules.RANKS.items()}
    return convert_readable(
        tx,
        tx.execute(select(*columns, text).where(*criteria)),
        lambda row: _build_candidate(
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
        ),
        lambda row: f"message/{row.id}",
    )


def _read_tasks(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table, link = tasks.c, session_tasks.c
    columns = [table[name] for name in ["id", "goal", "type", "tags", "agent_name", "updated_at"]]
    statement = (
        select(*columns, table.description, link.key, sessions.c.id.label("session_id"))
        .outerjoin(session_tasks, link.task_id == table.id)
        .outerjoin(sessions, sessions.c.uid == link.session_uid)
    )
    return convert_readable(
        tx,
        tx.execute(statement.where(table.workspace_id == tx.workspace_id, table.id.in_(ids))),
        lambda row: _build_candidate(
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
        ),
        lambda row: f"task/{row.id}",
    )


def _read_decisions(tx: Transaction, ids: Sequence[str]) -> list[TextCandidate]:
    table = decisions.c
    names = ["id", "topic", "decision", "rationale", "status", "recorded_by", "created_at"]
    criteria = table.workspace_id == tx.workspace_id, table.id.in_(ids), table.status == "active"
    return convert_readable(
        tx,
        tx.execute(select(*[table[name] for name in names]).where(*criteria)),
        lambda row: _build_candidate(
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
        ),
        lambda row: f"decision/{row.id}",
    )


def _build_candidate(
    kind: What, row: Row[Any], text: str, about: str, chars: int | None = None, **fields: Any
) -> TextCandidate:
    """A candidate; `chars` are those of its whole text where `text` is only the beginning."""
    tags = getattr(row, "tags", [])  # decisions have none
    fields |= {"what": kind, "id": row.id, "tags": tags}
    return TextCandidate(fields, text[:SEARCH_TEXT_CHARS], about, len(text) if chars is None else chars)


_READERS: Mapping[What, Callable[[Transaction, Sequence[str]], list[TextCandidate]]] = {
    "chunk": _read_chunks,
    "memory": _read_memories,
    "artifact": _read_artifacts,
    "message": _read_messages,
    "task": _read_tasks,
    "decision": _read_decisions,
}
