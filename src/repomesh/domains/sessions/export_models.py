"""The words of exporting a session."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from repomesh.domains.sessions.artifact_models import Artifact, ArtifactVersion
from repomesh.domains.sessions.chunk_models import Chunk
from repomesh.domains.sessions.memory_models import ListedMemory, MemoryVersion
from repomesh.domains.sessions.models import OneSession, SessionDetail, SessionTask
from repomesh.kernel import limits
from repomesh.kernel.fields import Cursor, PageLimit
from repomesh.kernel.operation import Model


class ExportedSession(SessionDetail):
    """The session itself."""

    what: Literal["session"] = "session"


class ExportedChunk(Chunk):
    """A piece of its conversation."""

    what: Literal["chunk"] = "chunk"


class ExportedMemory(ListedMemory):
    """A memory of it, whatever became of it."""

    what: Literal["memory"] = "memory"


class ExportedMemoryVersion(MemoryVersion):
    """What a memory was in a version, the present one included."""

    what: Literal["memory_version"] = "memory_version"
    key: str


class ExportedArtifactVersion(ArtifactVersion):
    """An earlier version of an artifact; its content is read on its own."""

    what: Literal["artifact_version"] = "artifact_version"
    artifact_id: str


class ExportedArtifact(Artifact):
    """An artifact of it; its content is read on its own."""

    what: Literal["artifact"] = "artifact"


class ExportedTask(SessionTask):
    """A task that was handed out in it."""

    what: Literal["task"] = "task"


Exported = Annotated[
    ExportedSession
    | ExportedChunk
    | ExportedMemory
    | ExportedMemoryVersion
    | ExportedArtifact
    | ExportedArtifactVersion
    | ExportedTask,
    Field(discriminator="what"),
]


class ExportSession(OneSession):
    """Which session to export."""

    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_MAX


class ExportPage(Model):
    """One page of a session; `next_cursor` is null on the last."""

    items: list[Exported]
    next_cursor: str | None = None
