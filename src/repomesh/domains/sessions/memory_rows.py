"""Rows of memories: find, insert and change them, store their versions, index their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, insert, or_, select, update

from repomesh.domains.sessions import rows
from repomesh.domains.sessions.errors import MemoryNotFound
from repomesh.domains.sessions.fields import as_text
from repomesh.domains.sessions.memory_models import EVENTS, Change, Memory, MemoryChanged, MemoryVersion
from repomesh.domains.sessions.rules import mark
from repomesh.domains.sessions.tables import NO_SESSION, memories, memory_versions, sessions
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.words import distinct_words
from repomesh.store import damage
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

DOCUMENT = "memory"
"""The document type of memories in the full-text index."""

_table = memories.c
_BY_ID = PreparedStatement(
    select(memories).where(_table.workspace_id == bindparam("ws"), _table.id == bindparam("id"))
)
_BY_KEY = PreparedStatement(
    select(memories).where(
        _table.workspace_id == bindparam("ws"),
        _table.session_uid == bindparam("uid"),
        _table.key == bindparam("key"),
    )
)
_NEWEST = PreparedStatement(
    select(memories)
    .where(
        _table.workspace_id == bindparam("ws"),
        _table.type == bindparam("type"),
        _table.status == "current",
        _table.session_uid.not_in(
            select(sessions.c.uid).where(
                sessions.c.workspace_id == bindparam("ws"),
                or_(sessions.c.status == "deleting", sessions.c.status == "importing"),
            )
        ),
    )
    .order_by(_table.updated_at.desc(), _table.id.desc())
    .limit(bindparam("count"))
)
_ADD_VERSION = PreparedStatement(insert(memory_versions))
_VERSIONED = ("type", "content", "tags", "confidence", "sources", "superseded_by", "reason", "author")


def find(tx: Transaction, memory_id: str) -> Row[Any]:
    """The row of a memory of this workspace; raises MemoryNotFound.

    Memories of a session that is being imported or deleted are not found.
    """
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "id": memory_id}).one_or_none()
    if row is None or (row.session_uid != NO_SESSION and not _is_readable(tx, row)):
        raise MemoryNotFound(f"there is no memory {memory_id}")
    return row


def _is_readable(tx: Transaction, row: Row[Any]) -> bool:
    """Whether the session of a memory exists and is not being imported or deleted."""
    if not rows.is_there(tx, row.session_id):
        return False
    session = rows.find(tx, row.session_id)
    return bool(session.uid == row.session_uid and session.status != "deleting")


def find_changeable(tx: Transaction, memory_id: str) -> Row[Any]:
    """The row of a memory that may be changed.

    Raises MemoryNotFound, SessionNotActive, and Stale if it is not the version of If-Match.
    """
    row = find(tx, memory_id)
    if row.session_id is not None:
        rows.find_active(tx, row.session_id)
    tx.check_version(row.version)
    return row


def find_by_key(tx: Transaction, uid: str, key: str) -> Row[Any] | None:
    """The row of the memory with this key in a session, or None."""
    return tx.execute(_BY_KEY, {"ws": tx.workspace_id, "uid": uid, "key": key}).one_or_none()


def as_memory(row: Row[Any] | dict[str, Any]) -> Memory:
    """The memory from its row or columns."""
    fields = row if isinstance(row, dict) else row._asdict()
    return Memory(**{name: fields[name] for name in Memory.model_fields})


def add(tx: Transaction, fields: dict[str, Any], words: Sequence[str]) -> Memory:
    """Insert a memory from its columns and emit `memory.stored`; `words` are those of its content."""
    tx.execute(insert(memories), fields)
    return _insert_version_and_emit(tx, fields, "stored", words)


def change(
    tx: Transaction, row: Row[Any], change_type: Change, words: Sequence[str] | None = None, **columns: Any
) -> Memory:
    """Write `columns` and a new version of a memory, and emit its event. Returns the changed memory.

    `words` are the index words of its content, computed here if None.
    """
    columns |= {"author": tx.caller.agent_name, "updated_at": tx.now, "version": row.version + 1}
    conditions = _table.workspace_id == tx.workspace_id, _table.id == row.id
    tx.execute(update(memories).where(*conditions).values(columns))
    tx.text_index.remove(tx.connection, tx.workspace_id, DOCUMENT, row.id)
    return _insert_version_and_emit(tx, row._asdict() | columns, change_type, words)


def restore(tx: Transaction, fields: dict[str, Any], change_type: Change) -> None:
    """Insert an imported memory with its own version number, without an event."""
    tx.execute(insert(memories), fields)
    _insert_version(tx, fields, change_type)


def _insert_version_and_emit(
    tx: Transaction, fields: dict[str, Any], change_type: Change, words: Sequence[str] | None = None
) -> Memory:
    memory = _insert_version(tx, fields, change_type, words)
    tx.emit(NewEvent(EVENTS[change_type], f"memory/{memory.id}", MemoryChanged(memory=memory)))
    return memory


def _insert_version(
    tx: Transaction, fields: dict[str, Any], change_type: Change, words: Sequence[str] | None = None
) -> Memory:
    memory = as_memory(fields)
    key = {"workspace_id": tx.workspace_id, "memory_id": memory.id, "version": memory.version}
    columns = {name: fields[name] for name in _VERSIONED}
    tx.execute(_ADD_VERSION, columns | key | {"change": change_type, "at": fields["updated_at"]})
    tx.index_words(DOCUMENT, memory.id, document_words(fields, words))
    return memory


def newest(tx: Transaction, type_: str, count: int) -> list[Memory]:
    """The current memories of a type, the last changed first, at most `count`; damaged ones are left out."""
    parameters = {"ws": tx.workspace_id, "type": type_, "count": count}
    return damage.convert_readable(
        tx,
        tx.execute(_NEWEST, parameters),
        lambda row: as_memory(row._asdict()),
        lambda row: f"memory/{row.id}",
    )


def text_of(memory: Memory) -> str:
    """A memory's content as text."""
    return memory.content if isinstance(memory.content, str) else as_text(memory.content)


def content_words(content: Any) -> list[str]:
    """The words of a memory's content."""
    return distinct_words(readable(content))


def readable(content: Any) -> str:
    """A memory's content as text for the full-text index, without JSON escapes."""
    if isinstance(content, str):
        return without_escapes(content)
    return without_escapes(as_text(content), is_json=True)


def document_words(fields: Mapping[str, Any], words: Sequence[str] | None = None) -> list[str]:
    """The index words of a memory from the columns of its row; `words` are those of its content."""
    marks = [mark("s", fields["session_uid"]), mark("y", fields["type"]), mark("c", fields["status"])]
    marks += [mark("t", tag) for tag in fields["tags"]]
    if fields["author"] is not None:
        marks.append(mark("a", fields["author"]))
    words_of_content = content_words(fields["content"]) if words is None else words
    return [*marks, *distinct_words("\n".join((fields["key"], *fields["tags"]))), *words_of_content]


def find_version(tx: Transaction, memory_id: str, number: int) -> Row[Any]:
    """The row of one version of a memory; raises MemoryNotFound."""
    table = memory_versions.c
    conditions = table.workspace_id == tx.workspace_id, table.memory_id == memory_id, table.version == number
    row = tx.execute(select(memory_versions).where(*conditions)).one_or_none()
    if row is None:
        raise MemoryNotFound(f"memory {memory_id} has no version {number}")
    return row


def as_version(row: Row[Any]) -> MemoryVersion:
    """The version from its row."""
    return MemoryVersion(**{name: row._mapping[name] for name in MemoryVersion.model_fields})
