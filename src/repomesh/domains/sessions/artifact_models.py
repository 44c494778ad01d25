"""The words of artifacts: what came of a session, in versions."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from repomesh.domains.sessions.fields import Content, Key, SessionId, Word, content_bytes
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Tag, Tags
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

_BASE64_CHARS_MAX = (limits.ARTIFACT_BYTES_MAX + 2) // 3 * 4

MediaType = Annotated[
    str, StringConstraints(pattern=r"^[a-z]+/[A-Za-z0-9][A-Za-z0-9.+_-]*(; ?[\x20-\x7e]*)?$", max_length=128)
]


def _bounded(content: Content) -> Content:
    content_bytes(content, limits.ARTIFACT_BYTES_MAX)
    return content


def _decodes(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is no base64: {error}") from None
    if size > limits.ARTIFACT_BYTES_MAX:
        raise ValueError(f"has {size} bytes, the limit is {limits.ARTIFACT_BYTES_MAX}")
    return text


ArtifactContent = Annotated[Content, AfterValidator(_bounded)]

Base64 = Annotated[str, StringConstraints(max_length=_BASE64_CHARS_MAX), AfterValidator(_decodes)]

Url = Annotated[str, StringConstraints(pattern=r"^(https?|file|git|ssh)://[\x21-\x7e]+$", max_length=2_048)]


class Artifact(Model):
    """Something that came of a session, in its newest version."""

    id: Id
    session_id: str
    artifact_id: str = Field(description="As its author named it; its id when it came without a name.")
    title: str
    type: str = Field(description="code, document, diagram, data, link, or another word.")
    description: str
    media_type: str
    url: str | None = Field(description="Where a link leads.")
    tags: list[str]
    bytes: int
    sha256: str = Field(description="Of its content, in hexadecimal digits.")
    author: str | None = Field(description="The agent that wrote this version; null for the owner.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change of its content; the ETag.")


class ArtifactVersion(Model):
    """One version of an artifact, without its content."""

    version: int
    media_type: str
    url: str | None
    bytes: int
    sha256: str
    author: str | None
    at: Timestamp


class AddArtifact(Model):
    """A new artifact, or a new version of one whose name it bears."""

    session_id: SessionId
    title: Annotated[Label, StringConstraints(min_length=1)] = Field(description="What it is called.")
    artifact_id: Key | None = Field(None, description="Your name for it in the session.")
    type: Word = Field("document", description="code, document, diagram, data, link, or your own word.")
    description: Label = Field("", description="What it is for, in a line.")
    media_type: MediaType | None = Field(None, description="Such as 'text/x-python'; guessed when left out.")
    content: ArtifactContent | None = Field(None, description="Text; or JSON, which is kept as compact text.")
    content_base64: Base64 | None = Field(None, description="What is no text.")
    url: Url | None = Field(None, description="Of a link, which has no content here.")
    tags: Tags = Field((), description="To find it by.")

    @model_validator(mode="after")
    def _one_content(self) -> AddArtifact:
        given = [one for one in (self.content, self.content_base64, self.url) if one is not None]
        if len(given) != 1:
            raise ValueError("exactly one of 'content', 'content_base64' and 'url' must be given")
        return self


class ListArtifacts(Model):
    """Which artifacts of a session to list."""

    session_id: SessionId
    type: Word | None = None
    tag: Tag | None = None
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class OneArtifact(Model):
    """One artifact."""

    session_id: SessionId
    artifact_id: Key


class ListArtifactVersions(OneArtifact):
    """The versions of an artifact."""

    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT


Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class ReadArtifact(OneArtifact):
    """The content of an artifact, from some place on."""

    at_version: Version | None = Field(None, description="The newest unless you say.")
    offset: Annotated[int, Field(ge=0, le=limits.ARTIFACT_BYTES_MAX)] = Field(
        0, description="Characters of a text, or bytes of anything else, to skip."
    )
    max_chars: MaxChars | None = Field(None, description="Characters of it at most; 100,000 unless you say.")


class ArtifactPart(Model):
    """A part of an artifact's content."""

    session_id: str
    artifact_id: str
    at_version: int
    media_type: str
    bytes: int
    sha256: str
    encoding: Literal["text", "base64"]
    content: str
    offset: int
    next_offset: int | None = Field(description="Where its content goes on; null at its end.")


class ArtifactChanged(Model):
    """What an artifact is now, without its content."""

    artifact: Artifact


ARTIFACT_ADDED = event_type("artifact.added", ArtifactChanged)
