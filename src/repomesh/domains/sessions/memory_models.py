"""The words of memories: what agents of a session, or of the whole workspace, should know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from repomesh.domains.sessions.fields import Key, MemoryContent, SessionId, Word
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, MaxChars, PageLimit, Reason, Tag, Tags
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model
from repomesh.kernel.prepared_words import PreparesWords

MemoryStatus = Literal["current", "superseded", "retracted"]

Change = Literal["stored", "restored", "superseded", "retracted"]

Confidence = Annotated[float, Field(ge=0, le=1)]

WhyNot = Annotated[Reason, Field(min_length=1)]


class MemorySource(Model):
    """Where a memory comes from."""

    type: Literal["message", "chunk", "task", "artifact"]
    id: Key = Field(description="Its id, or its name in the session.")


Sources = Annotated[tuple[MemorySource, ...], Field(max_length=limits.MEMORY_SOURCES_MAX)]


class Memory(Model):
    """A memory in its current version."""

    id: Id
    session_id: str | None = Field(description="null: it concerns the whole workspace.")
    key: str
    type: str
    content: JsonValue
    tags: list[str]
    confidence: float | None = Field(description="How sure its author is, from 0 to 1.")
    sources: list[MemorySource]
    status: MemoryStatus
    superseded_by: str | None = Field(description="The key of the memory that replaced it.")
    reason: str = Field(description="Why it was superseded, retracted or restored.")
    author: str | None = Field(description="The agent that wrote it last; null for the owner.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class ListedMemory(Memory):
    """A memory of a list."""

    truncated: bool = Field(False, description="Whether `max_chars` cut its content to a text.")


class MemoryVersion(Model):
    """One version of a memory."""

    version: int
    change: Change
    type: str
    content: JsonValue
    tags: list[str]
    confidence: float | None
    sources: list[MemorySource]
    superseded_by: str | None
    reason: str
    author: str | None
    at: Timestamp


class StoreMemory(PreparesWords):
    """Something to remember. An existing key gets a new version; the old ones stay."""

    key: Key = Field(description="Unique in the session, or among those of the workspace.")
    content: MemoryContent = Field(description="Text or any JSON.")
    type: Word = Field(
        "note", description="idea, decision, question, action_item, fact, note, or your own word."
    )
    session_id: SessionId | None = Field(None, description="Without one it concerns the whole workspace.")
    tags: Tags = ()
    confidence: Confidence | None = Field(None, description="How sure you are, from 0 to 1.")
    sources: Sources = Field((), description="Where it comes from.")


class ListMemories(Model):
    """Which memories to list."""

    session_id: SessionId | None = Field(None, description="Only those of this session.")
    workspace_wide: bool | None = Field(
        None, description="true: only those of no session; false: the others."
    )
    key: Key | None = Field(None, description="Only those of this key.")
    type: Word | None = Field(None, description="Only those of this type.")
    tag: Tag | None = Field(None, description="Only those with this tag.")
    tags: Tags = Field((), description="Only those with all of these tags.")
    status: MemoryStatus | None = Field(
        None, description="Only the current ones unless you say, or name a key."
    )
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class OneMemory(Model):
    """One memory."""

    memory_id: Id


class ListMemoryVersions(OneMemory):
    """What a memory was before."""

    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class RestoreMemory(OneMemory):
    """Make an earlier version the present one again."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    reason: Reason = ""


class RetractMemory(OneMemory):
    """It is wrong."""

    reason: WhyNot


class SupersedeMemory(OneMemory):
    """The memory that replaces this one."""

    by: Key = Field(description="The key of that memory, in the same session or workspace.")
    reason: WhyNot


class MemoryChanged(Model):
    """The new state of a memory."""

    memory: Memory


EVENTS: Mapping[Change, str] = {
    "stored": event_type("memory.stored", MemoryChanged, "A memory was stored, or a new version of it."),
    "superseded": event_type("memory.superseded", MemoryChanged, "Another memory replaced this one."),
    "retracted": event_type("memory.retracted", MemoryChanged, "A memory was retracted; its data says why."),
    "restored": event_type(
        "memory.restored", MemoryChanged, "A memory that was replaced or retracted counts again."
    ),
}
"""The event of each change."""
