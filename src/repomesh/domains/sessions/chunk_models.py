"""The words of conversation chunks: what was said in a session, in order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, PrivateAttr

from repomesh.domains.sessions.fields import Content, JsonObject, Key, SessionId, content_bytes, content_text
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.compact_words import CompactWords, compact_words
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Tags, TextChars
from repomesh.kernel.ids import Id
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.operation import Model

Format = Literal["dialogue", "markdown", "json", "text"]


def _check_size(content: Content) -> Content:
    content_bytes(content, limits.CHUNK_BYTES_MAX)
    return content


ChunkContent = Annotated[Content, AfterValidator(_check_size)]


@dataclass(frozen=True, slots=True)
class PreparedContent:
    """A content as text, its size in UTF-8 bytes, its SHA-256 digest and its distinct words."""

    text: str
    bytes: int
    sha256: str
    words: CompactWords


def prepare(content: Content, format_: str) -> PreparedContent:
    """Hash a chunk's content and collect its words, which takes seconds for the longest.

    The words of JSON are those that it says, not those of its escapes.
    """
    text = content_text(content)
    is_json = format_ == "json" or not isinstance(content, str)
    raw = text.encode()
    words = compact_words(without_escapes(text, is_json=is_json))
    return PreparedContent(text, len(raw), hashlib.sha256(raw).hexdigest(), words)


Place = Annotated[int, Field(ge=1, le=limits.SEQUENCE_MAX)]


class ChunkInfo(Model):
    """A chunk without its content."""

    id: Id
    session_id: str
    chunk_id: str = Field(description="As its sender named it; its id when it was sent without a name.")
    sequence: int = Field(description="Its place in the session.")
    format: Format
    speaker: str = Field(description="The speaker, as the sender named it.")
    tags: list[str]
    metadata: dict[str, JsonValue]
    bytes: int = Field(description="Size of the content in UTF-8.")
    sha256: str = Field(description="SHA-256 of the content in UTF-8, in hexadecimal digits.")
    author: str | None = Field(description="The agent that sent it; null for the owner.")
    created_at: Timestamp


class Chunk(ChunkInfo):
    """A piece of conversation."""

    content: str
    truncated: bool = Field(False, description="Whether the content goes on: read the chunk by its name.")


class NewChunk(Model):
    """A piece of conversation to keep."""

    content: ChunkContent = Field(description="Text; or JSON, which is kept as compact text.")
    chunk_id: Key | None = Field(None, description="Your name for it; a resend answers the same.")
    sequence: Place | None = Field(None, description="Its place; without one it comes last.")
    format: Format = Field("text", description="What its content is.")
    speaker: Label = Field("", description="Who said it.")
    tags: Tags = Field((), description="To find it by.")
    metadata: JsonObject = Field({}, description="Whatever you keep with it.")
    _prepared: PreparedContent | None = PrivateAttr(None)

    def prepared(self) -> PreparedContent:
        """The content as it is stored, computed once: before the transaction where that is possible."""
        if self._prepared is None:
            self._prepared = prepare(self.content, self.format)
        return self._prepared


class AddChunk(NewChunk):
    """A piece of conversation for a session."""

    session_id: SessionId


class AddChunks(Model):
    """Pieces of conversation for a session, kept together or not at all."""

    session_id: SessionId
    chunks: Annotated[tuple[NewChunk, ...], Field(min_length=1, max_length=limits.CHUNKS_PER_REQUEST_MAX)]


class AddedChunks(Model):
    """Where the pieces of conversation stand, in the order in which they were sent."""

    items: list[ChunkInfo]


class ListChunks(Model):
    """Which chunks of a session to read."""

    session_id: SessionId
    after: Annotated[int, Field(ge=0, le=2**53)] = Field(0, description="Only those behind this sequence.")
    newest_first: bool = False
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ReadChunk(Model):
    """One chunk, from some place of its content on."""

    session_id: SessionId
    chunk_id: Key
    offset: Annotated[int, Field(ge=0, le=limits.CHUNK_BYTES_MAX)] = Field(
        0, description="Characters of its content to skip."
    )
    max_chars: TextChars | None = Field(
        None, description="Characters of its content at most; 100,000 unless you say."
    )


class ReadChunkPart(ChunkInfo):
    """A part of a chunk's content."""

    content: str
    offset: int
    next_offset: int | None = Field(description="Where its content goes on; null at its end.")


class ChunksAdded(Model):
    """Conversation was added to a session; read it there."""

    session_id: str
    chunks: list[ChunkInfo]


SESSION_CHUNKS_ADDED = event_type(
    "session.chunks_added", ChunksAdded, "Conversation was added to a session; its text is not in the event."
)
