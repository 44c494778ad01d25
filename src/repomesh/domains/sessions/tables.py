"""Tables of sessions and their contents.

The contents refer to a session by its `uid`, which is never reused, so that a deletion in pieces and a new
session of the same id do not interfere.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    literal_column,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Ascii, Json, Timestamp, Uuid

NO_SESSION = ""
"""The `session_uid` of memories that concern the whole workspace."""

sessions = Table(
    "sessions",
    metadata,
    Column("uid", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("id", Ascii, nullable=False),
    Column("title", String(200), nullable=False),
    Column("participants", Json, nullable=False),
    Column("context", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", String(64)),
    Column("created_by_id", Uuid),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Column("erased", Json),  # what is gone so far, while it is being deleted
    Index("ix_sessions_id", "workspace_id", "id", unique=True),
    Index("ix_sessions_uid", "workspace_id", "uid"),
    Index("ix_sessions_status", "workspace_id", "status", "uid"),
)

# Written out rather than bound: a partial index serves only queries that are seen to imply it.
DELETING = sessions.c.status == literal_column("'deleting'")
partial_index(
    "ix_sessions_deleting",
    sessions.c.workspace_id,
    sessions.c.uid,
    where=DELETING,
)

session_participants = Table(
    "session_participants",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("participant", String(64), primary_key=True),
    Column("session_uid", Uuid, ForeignKey("sessions.uid"), primary_key=True),
    Index("ix_session_participants_session", "session_uid"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("session_uid", Uuid, ForeignKey("sessions.uid"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("workspace_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("chunk_id", Ascii, nullable=False),
    Column("format", String(16), nullable=False),
    Column("speaker", String(200), nullable=False),
    Column("tags", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("author", String(64)),
    Column("created_at", Timestamp, nullable=False),
    Column("content", Text, nullable=False),  # last: the others are read without it
    Index("ix_chunks_chunk_id", "session_uid", "chunk_id", unique=True),
    Index("ix_chunks_id", "workspace_id", "id", unique=True),
)

memories = Table(
    "memories",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    # No foreign key: it is empty for what concerns the whole workspace.
    Column("session_uid", String(36), nullable=False),
    Column("session_id", String(64)),
    Column("key", Ascii, nullable=False),
    Column("type", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("confidence", Float),
    Column("sources", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("superseded_by", Ascii),
    Column("reason", Text, nullable=False),
    Column("author", String(64)),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_memories_key", "workspace_id", "session_uid", "key", unique=True),
    Index("ix_memories_type", "workspace_id", "type", "id"),
    Index("ix_memories_changed", "workspace_id", "type", "updated_at", "id"),
    Index("ix_memories_updated", "workspace_id", "updated_at", "id"),
    Index("ix_memories_updated_anywhere", "updated_at", "workspace_id"),
)

memory_versions = Table(
    "memory_versions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("memory_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("change", String(16), nullable=False),
    Column("type", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("confidence", Float),
    Column("sources", Json, nullable=False),
    Column("superseded_by", Ascii),
    Column("reason", Text, nullable=False),
    Column("author", String(64)),
    Column("at", Timestamp, nullable=False),
)

memory_vectors = Table(
    "memory_vectors",
    metadata,
    # Never given out again, so that what was read before stays known by the largest.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("memory_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("vector", LargeBinary, nullable=False),  # 32-bit floats, of length 1 together
    Index("ix_memory_vectors_memory", "workspace_id", "memory_id", unique=True),
    Index("ix_memory_vectors_model", "workspace_id", "model", "id"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("session_uid", Uuid, ForeignKey("sessions.uid"), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("artifact_id", Ascii, nullable=False),
    Column("title", String(200), nullable=False),
    Column("type", String(64), nullable=False),
    Column("description", String(200), nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("url", Text),
    Column("tags", Json, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("author", String(64)),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_artifacts_artifact_id", "session_uid", "artifact_id", unique=True),
    Index("ix_artifacts_session", "session_uid", "id"),
)

artifact_versions = Table(
    "artifact_versions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("artifact_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("media_type", String(128), nullable=False),
    Column("url", Text),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("author", String(64)),
    Column("at", Timestamp, nullable=False),
    Column("content", LargeBinary),  # null: a link, or it lies apart
    Index("ix_artifact_versions_sha256", "sha256"),
)

session_tasks = Table(
    "session_tasks",
    metadata,
    Column("session_uid", Uuid, ForeignKey("sessions.uid"), primary_key=True),
    Column("task_id", Uuid, ForeignKey("tasks.id"), primary_key=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("key", Ascii, nullable=False),
    Column("request", Text, nullable=False),  # as it came, so that a resend is known
    Index("ix_session_tasks_key", "session_uid", "key", unique=True),
    Index("ix_session_tasks_task", "task_id"),
)

session_summaries = Table(
    "session_summaries",
    metadata,
    Column("session_uid", Uuid, ForeignKey("sessions.uid"), primary_key=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("sha256", String(64), nullable=False),  # of what the model was given
    Column("model", String(200), nullable=False),
    Column("made_at", Timestamp, nullable=False),
    Column("text", Text, nullable=False),
)
