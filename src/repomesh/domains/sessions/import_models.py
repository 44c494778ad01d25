"""The words of an import: a session as an export holds it, staged under the import's id until it is whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from repomesh.domains.sessions.artifact_models import (
    AddArtifact,
    ArtifactContent,
    Base64,
    MediaType,
    PreparedArtifact,
    Url,
    require_one_content,
)
from repomesh.domains.sessions.chunk_models import ChunkContent, Format, PreparedContent, prepare
from repomesh.domains.sessions.fields import (
    JsonObject,
    Key,
    MemoryContent,
    Participants,
    SessionId,
    Word,
)
from repomesh.domains.sessions.memory_models import Change, Confidence, MemoryStatus, Sources
from repomesh.domains.sessions.models import Session, SessionCounts, Title
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Label, Reason, Tags
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Author = Annotated[str, Field(max_length=limits.NAME_CHARS_MAX)] | None


class ImportedSession(Model):
    """The session itself; it comes first."""

    what: Literal["session"]
    title: Title
    participants: Participants = ()
    context: JsonObject = {}
    metadata: JsonObject = {}
    status: Literal["active", "paused", "completed"] = "active"
    reason: Reason = ""
    created_by: Author = None
    created_at: Timestamp
    updated_at: Timestamp
    version: Version = 1


class ImportedChunk(Model):
    """A piece of its conversation."""

    what: Literal["chunk"]
    id: Id | None = None
    chunk_id: Key
    sequence: Annotated[int, Field(ge=1, le=2**63 - 1)]
    format: Format = "text"
    speaker: Label = ""
    tags: Tags = ()
    metadata: JsonObject = {}
    content: ChunkContent
    author: Author = None
    created_at: Timestamp
    _prepared: PreparedContent | None = PrivateAttr(None)

    def prepared(self) -> PreparedContent:
        """The content as it is stored, computed once."""
        if self._prepared is None:
            self._prepared = prepare(self.content, self.format)
        return self._prepared


class _MemorySaid(Model):
    """The fields that a memory and its versions share."""

    key: Key
    type: Word
    content: MemoryContent
    tags: Tags = ()
    confidence: Confidence | None = None
    sources: Sources = ()
    superseded_by: Key | None = None
    reason: Reason = ""
    author: Author = None
    version: Version


class ImportedMemory(_MemorySaid):
    """A memory as it is now."""

    what: Literal["memory"]
    id: Id | None = None
    status: MemoryStatus = "current"
    created_at: Timestamp
    updated_at: Timestamp


class ImportedMemoryVersion(_MemorySaid):
    """What a memory was in a version; it comes behind the memory."""

    what: Literal["memory_version"]
    change: Change
    at: Timestamp


class _ArtifactContent(Model):
    """The fields that an artifact and its versions share."""

    artifact_id: Key
    media_type: MediaType
    url: Url | None = None
    content: ArtifactContent | None = None
    content_base64: Base64 | None = None
    author: Author = None
    version: Version
    _added: AddArtifact | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        require_one_content(self.content, self.content_base64, self.url)
        return self

    def prepared(self) -> PreparedArtifact:
        """The content as it is stored, computed once."""
        if self._added is None:
            contents = {"content": self.content, "content_base64": self.content_base64, "url": self.url}
            about: dict[str, Any] = {"session_id": "s", "title": "t", "media_type": self.media_type}
            self._added = AddArtifact(**about, **contents)
        return self._added.prepared()


class ImportedArtifact(_ArtifactContent):
    """An artifact with its newest content."""

    what: Literal["artifact"]
    id: Id | None = None
    title: Title
    type: Word
    description: Label = ""
    tags: Tags = ()
    created_at: Timestamp
    updated_at: Timestamp


class ImportedArtifactVersion(_ArtifactContent):
    """An earlier version of an artifact; it comes behind the artifact."""

    what: Literal["artifact_version"]
    at: Timestamp


Imported = Annotated[
    ImportedSession
    | ImportedChunk
    | ImportedMemory
    | ImportedMemoryVersion
    | ImportedArtifact
    | ImportedArtifactVersion,
    Field(discriminator="what"),
]


class ImportSession(Model):
    """A piece of an import. Nobody sees anything of it before the piece that says `done`."""

    import_id: Key = Field(description="Your name for the import; its pieces are known by it.")
    session_id: SessionId = Field(description="The session that it becomes.")
    after: Annotated[int, Field(ge=0, le=2**53)] = Field(
        description="Items sent in the pieces before. With 0 it begins anew."
    )
    items: Annotated[tuple[Imported, ...], Field(max_length=limits.PAGE_ITEMS_MAX)]
    done: bool = Field(False, description="Whether this is the last piece, with which all becomes visible.")


class OneImport(Model):
    """An import that is under way."""

    import_id: Key


class ImportProgress(Model):
    """How far an import is."""

    import_id: str
    session_id: str
    taken: int = Field(description="Items that are kept; go on behind them.")
    done: bool
    counts: SessionCounts


class SessionImported(Model):
    """A session is there with all that hangs on it, as another place exported it."""

    session: Session
    counts: SessionCounts


SESSION_IMPORTED = event_type(
    "session.imported", SessionImported, "A session was imported with everything in it."
)
