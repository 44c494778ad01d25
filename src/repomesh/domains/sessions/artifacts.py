"""Operations on artifacts: add, list, show, read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Text, func, insert, select, type_coerce, update

from repomesh.domains.sessions import rows
from repomesh.domains.sessions.artifact_models import (
    ARTIFACT_ADDED,
    AddArtifact,
    Artifact,
    ArtifactChanged,
    ArtifactPart,
    ArtifactVersion,
    ListArtifacts,
    ListArtifactVersions,
    OneArtifact,
    PreparedArtifact,
    ReadArtifact,
)
from repomesh.domains.sessions.errors import (
    ArtifactHasNoContent,
    ArtifactNotFound,
    SessionNotActive,
    SessionNotFound,
)
from repomesh.domains.sessions.fields import content_text
from repomesh.domains.sessions.rules import mark
from repomesh.domains.sessions.tables import artifact_versions, artifacts
from repomesh.kernel import limits
from repomesh.kernel.errors import Stale
from repomesh.kernel.fields import Page
from repomesh.kernel.json_values import changed_values
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.ports import StorePort
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.words import distinct_words
from repomesh.store.listing import Listing, equals
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

DOCUMENT = "artifact"
"""The document type of artifacts in the full-text index."""

_table = artifacts.c


def _stage(request: AddArtifact, store: StorePort) -> None:
    request.prepared().keep(store.contents)


@command(
    "artifact.add",
    http=Post(
        "/v1/sessions/{session_id}/artifacts", status=201, body_bytes_max=limits.CONTENT_BODY_BYTES_MAX
    ),
    scope="sessions:write",
    errors=(SessionNotFound, SessionNotActive, Stale),
    prepare=on_worker_thread(_stage),
)
def add_artifact(tx: Transaction, request: AddArtifact) -> Artifact:
    """Add an artifact of up to 10 MiB, or a new version of the one that has this name.

    Content over 1 MiB is stored apart from the rows, and is durable before the transaction commits. The same
    content under the same name gets the same answer as the first time.
    """
    session = rows.find_active(tx, request.session_id)
    content = request.prepared()
    content_columns: dict[str, Any] = {
        "title": request.title,
        "type": request.type,
        "description": request.description,
        "media_type": content.media_type,
        "url": request.url,
        "tags": list(dict.fromkeys(request.tags)),
        "bytes": len(content.raw),
        "sha256": content.sha256,
    }
    row = None if request.artifact_id is None else _find_by_name(tx, session.uid, request.artifact_id)
    if row is not None:
        tx.check_version(row.version)
        if not changed_values(content_columns, row):
            return _as_artifact(row._asdict())
        change_columns = {"author": tx.caller.agent_name, "updated_at": tx.now, "version": row.version + 1}
        conditions = _table.workspace_id == tx.workspace_id, _table.id == row.id
        tx.execute(update(artifacts).where(*conditions).values(content_columns | change_columns))
        tx.text_index.remove(tx.connection, tx.workspace_id, DOCUMENT, row.id)
        return _insert_version(tx, row._asdict() | content_columns | change_columns, content)
    fields = content_columns | _identity_columns(tx, session, request)
    tx.execute(insert(artifacts), fields)
    return _insert_version(tx, fields, content)


def _has_tag(_tx: Transaction, tag: str) -> ColumnElement[bool]:
    # Not LIKE, which one engine matches whatever the case.
    tags, stored_tag = type_coerce(_table.tags, Text), content_text([tag])[1:-1]
    return func.replace(tags, stored_tag, "") != tags


_LISTING = Listing(
    Page[Artifact],
    lambda row: _as_artifact(row._asdict()),
    keys=(_table.id,),
    descending=True,
    filters={"type": equals(_table.type), "tag": _has_tag},
)


@query(
    "artifact.list",
    http=Get("/v1/sessions/{session_id}/artifacts"),
    scope="sessions:read",
    errors=(SessionNotFound,),
)
def list_artifacts(tx: Transaction, request: ListArtifacts) -> Page[Artifact]:
    """List the artifacts of a session, newest first, without their contents."""
    uid = rows.find_readable(tx, request.session_id).uid
    return _LISTING.read(tx, select(artifacts).where(_table.session_uid == uid), request)


@query(
    "artifact.show",
    http=Get("/v1/sessions/{session_id}/artifacts/{artifact_id}"),
    scope="sessions:read",
    errors=(SessionNotFound, ArtifactNotFound),
)
def show_artifact(tx: Transaction, request: OneArtifact) -> Artifact:
    """Show an artifact without its content."""
    return _as_artifact(_find(tx, request)._asdict())


@query(
    "artifact.versions",
    http=Get("/v1/sessions/{session_id}/artifacts/{artifact_id}/versions"),
    scope="sessions:read",
    errors=(SessionNotFound, ArtifactNotFound),
)
def list_artifact_versions(tx: Transaction, request: ListArtifactVersions) -> Page[ArtifactVersion]:
    """List the versions of an artifact, newest first."""
    row = _find(tx, request)
    table = artifact_versions.c
    columns = [table[name] for name in ArtifactVersion.model_fields]
    statement = select(*columns).where(table.workspace_id == tx.workspace_id, table.artifact_id == row.id)
    listing = Listing(
        Page[ArtifactVersion],
        lambda row: ArtifactVersion(**row._asdict()),
        keys=(table.version,),
        descending=True,
    )
    return listing.read(tx, statement, request)


@query(
    "artifact.read",
    http=Get("/v1/sessions/{session_id}/artifacts/{artifact_id}/content"),
    scope="sessions:read",
    errors=(SessionNotFound, ArtifactNotFound, ArtifactHasNoContent),
)
def read_artifact(tx: Transaction, request: ReadArtifact) -> ArtifactPart:
    """Read an artifact's content from `offset` on: a text as text, anything else in base64."""
    row = _find(tx, request)
    table = artifact_versions.c
    version_number = request.at_version or row.version
    conditions = (
        table.workspace_id == tx.workspace_id,
        table.artifact_id == row.id,
        table.version == version_number,
    )
    version = tx.execute(select(artifact_versions).where(*conditions)).one_or_none()
    if version is None:
        raise ArtifactNotFound(f"artifact '{row.artifact_id}' has no version {version_number}")
    if version.url is not None:
        raise ArtifactHasNoContent(f"artifact '{row.artifact_id}' leads to {version.url}", url=version.url)
    encoding, part, next_offset = _read_part(content_bytes(tx, version), request)
    return ArtifactPart(
        session_id=row.session_id,
        artifact_id=row.artifact_id,
        at_version=version.version,
        media_type=version.media_type,
        bytes=version.bytes,
        sha256=version.sha256,
        encoding=encoding,
        content=part,
        offset=request.offset,
        next_offset=next_offset,
    )


def named_contents(tx: Transaction, digests: Sequence[str]) -> set[str]:
    """Those of the SHA-256 digests that an artifact version of any workspace refers to."""
    digest = artifact_versions.c.sha256
    return set(tx.execute(select(digest).where(digest.in_(digests)).distinct()).scalars())


def _identity_columns(tx: Transaction, session: Row[Any], request: AddArtifact) -> dict[str, Any]:
    id_ = tx.new_id()
    return {
        "workspace_id": tx.workspace_id,
        "id": id_,
        "session_uid": session.uid,
        "session_id": session.id,
        "artifact_id": request.artifact_id or id_,
        "author": tx.caller.agent_name,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
    }


def document_words(fields: Mapping[str, Any]) -> list[str]:
    """The index words of an artifact besides those of its content, from the columns of its row."""
    marks = [mark("s", fields["session_uid"]), mark("y", fields["type"])]
    marks += [mark("t", tag) for tag in fields["tags"]]
    if fields["author"] is not None:
        marks.append(mark("a", fields["author"]))
    about = (fields[name] for name in ("artifact_id", "title", "description"))
    return [*marks, *distinct_words("\n".join((*about, *fields["tags"])))]


def _insert_version(tx: Transaction, fields: dict[str, Any], content: PreparedArtifact) -> Artifact:
    """Insert the version of an artifact's row, index its words, and emit `artifact.added`."""
    artifact = _as_artifact(fields)
    shared = ("media_type", "url", "bytes", "sha256", "author", "version")
    version = {name: fields[name] for name in shared} | {
        "workspace_id": tx.workspace_id,
        "artifact_id": artifact.id,
        "at": fields["updated_at"],
        "content": content.in_row(),
    }
    tx.execute(insert(artifact_versions), version)
    index(tx, fields, content)
    changed = ArtifactChanged(artifact=artifact)
    tx.emit(NewEvent(ARTIFACT_ADDED, f"artifact/{artifact.id}", changed))
    return artifact


def index(tx: Transaction, fields: Mapping[str, Any], content: PreparedArtifact) -> None:
    """Index the words of an artifact and its content."""
    tx.index_words(DOCUMENT, fields["id"], content.words.behind(document_words(fields)))


def _find_by_name(tx: Transaction, uid: str, name: str) -> Row[Any] | None:
    conditions = _table.session_uid == uid, _table.artifact_id == name
    return tx.execute(select(artifacts).where(*conditions)).one_or_none()


def _find(tx: Transaction, request: OneArtifact) -> Row[Any]:
    row = _find_by_name(tx, rows.find_readable(tx, request.session_id).uid, request.artifact_id)
    if row is None:
        raise ArtifactNotFound(
            f"there is no artifact '{request.artifact_id}' in session '{request.session_id}'"
        )
    return row


def _as_artifact(fields: dict[str, Any]) -> Artifact:
    return Artifact(**{name: fields[name] for name in Artifact.model_fields})


def content_bytes(tx: Transaction, version: Row[Any]) -> bytes:
    """The bytes of an artifact that is no link, from a row with its `content` and `sha256`.

    Raises DamagedRecord if they are stored outside the row and can't be read.
    """
    if version.content is not None:
        return bytes(version.content)
    return tx.contents.read(tx, version.sha256)


def _read_part(raw: bytes, request: ReadArtifact) -> tuple[Any, str, int | None]:
    """Returns (encoding, part, next offset) of a content; the offset is None at its end."""
    chars_max = request.max_chars or limits.CONTENT_CHARS_DEFAULT
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        step = max(chars_max // 4 * 3, 3)
        encoded = base64.b64encode(raw[request.offset : request.offset + step]).decode()
        has_more = request.offset + step < len(raw)
        return "base64", encoded, request.offset + step if has_more else None
    end = request.offset + chars_max
    return "text", text[request.offset : end], end if end < len(text) else None
