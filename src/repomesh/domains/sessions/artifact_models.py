"""The words of artifacts: what came of a session, in versions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, StringConstraints, model_validator

from repomesh.domains.sessions.fields import Content, Key, SessionId, Word, content_bytes, content_text
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.compact_words import CompactWords, compact_words
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Tag, Tags, TextChars
from repomesh.kernel.ids import Id
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.operation import Model
from repomesh.kernel.ports import Contents

_BASE64_CHARS_MAX = (limits.ARTIFACT_BYTES_MAX + 2) // 3 * 4

MediaType = Annotated[
    str, StringConstraints(pattern=r"^[a-z]+/[A-Za-z0-9][A-Za-z0-9.+_-]*(; ?[\x20-\x7e]*)?$", max_length=128)
]


def _check_size(content: Content) -> Content:
    content_bytes(content, limits.ARTIFACT_BYTES_MAX)
    return content


def _check_base64(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is no base64: {error}") from None
    if size > limits.ARTIFACT_BYTES_MAX:
        raise ValueError(f"has {size} bytes, the limit is {limits.ARTIFACT_BYTES_MAX}")
    return text


ArtifactContent = Annotated[Content, AfterValidator(_check_size)]

Base64 = Annotated[str, StringConstraints(max_length=_BASE64_CHARS_MAX), AfterValidator(_check_base64)]

Url = Annotated[str, StringConstraints(pattern=r"^(https?|file|git|ssh)://[\x21-\x7e]+$", max_length=2_048)]


_TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml", "image/svg+xml")
_MEDIA_TYPES = {"code": "text/plain", "document": "text/markdown", "diagram": "text/plain"}
_EXTENSION = re.compile(r"\.\w{1,8}$")
_BY_NAME = mimetypes.MimeTypes()  # Python's own table, the same on every machine


@dataclass(slots=True)
class PreparedArtifact:
    """The content of an artifact as bytes, and its index words."""

    raw: bytes
    media_type: str
    sha256: str
    words: CompactWords
    is_link: bool
    _is_kept: bool = False

    @property
    def lies_apart(self) -> bool:
        """Whether it is too large for its row, and so is stored among the contents."""
        return len(self.raw) > limits.ARTIFACT_STORED_BYTES_MAX

    def keep(self, contents: Contents) -> None:
        """Store a content that is too large for its row. Call it before the transaction that refers to it.

        Raises Unavailable when it can't be written.
        """
        if self.lies_apart:
            contents.keep(self.sha256, self.raw)
            self._is_kept = True

    def in_row(self) -> bytes | None:
        """The bytes to store in the row; None for a link and for a content that is stored outside it.

        Raises RuntimeError if that content was not stored before by `keep`.
        """
        if self.lies_apart and not self._is_kept:
            raise RuntimeError("the content was not kept before the transaction that names it")
        return None if self.is_link or self.lies_apart else self.raw


class Artifact(Model):
    """A result of a session, in its newest version."""

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
    sha256: str = Field(description="SHA-256 of the content, in hexadecimal digits.")
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
    _prepared: PreparedArtifact | None = PrivateAttr(None)

    def prepared(self) -> PreparedArtifact:
        """The content as it is stored, computed once: before the transaction where that is possible."""
        if self._prepared is None:
            self._prepared = _prepare(self)
        return self._prepared

    @model_validator(mode="after")
    def _one_content(self) -> AddArtifact:
        require_one_content(self.content, self.content_base64, self.url)
        return self


def require_one_content(content: object, content_base64: str | None, url: str | None) -> None:
    """Raise ValueError unless exactly one of the contents is given."""
    if sum(given is not None for given in (content, content_base64, url)) != 1:
        raise ValueError("exactly one of 'content', 'content_base64' and 'url' must be given")


def _prepare(request: AddArtifact) -> PreparedArtifact:
    """Hash a content and collect its words, which takes seconds for the longest."""
    if request.url is not None:
        raw, guess = request.url.encode(), "text/uri-list"
    elif request.content_base64 is not None:
        raw, guess = base64.b64decode(request.content_base64), "application/octet-stream"
    else:
        assert request.content is not None
        raw = content_text(request.content).encode()
        guess = _guess_text_type(request) if isinstance(request.content, str) else "application/json"
    media_type = request.media_type or guess
    words = compact_words(readable(raw, media_type))
    return PreparedArtifact(raw, media_type, hashlib.sha256(raw).hexdigest(), words, request.url is not None)


def _guess_text_type(request: AddArtifact) -> str:
    """The media type of a text, by the file extension in its title, else by the artifact's type."""
    by_title, _encoding = _BY_NAME.guess_type(request.title)
    if by_title is not None and by_title.startswith(_TEXTUAL):
        return by_title
    if _EXTENSION.search(request.title):
        return "text/plain"
    return _MEDIA_TYPES.get(request.type, "text/plain")


def readable(raw: bytes, media_type: str) -> str:
    """A content as text for the full-text index; empty if its media type is no text."""
    if not media_type.startswith(_TEXTUAL):
        return ""
    return without_escapes(raw.decode(errors="replace"), is_json=media_type.startswith("application/json"))


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
    max_chars: TextChars | None = Field(None, description="Characters of it at most; 100,000 unless you say.")


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
    """The new state of an artifact, without its content."""

    artifact: Artifact


ARTIFACT_ADDED = event_type(
    "artifact.added", ArtifactChanged, "An artifact was added to a session; its content is not in the event."
)
