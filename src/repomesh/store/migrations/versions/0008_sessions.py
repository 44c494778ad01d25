"""Collaborative sessions and what hangs on them; tasks for one agent alone."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables of the domain `sessions`, and say of a task for whom it is."""
    _sessions()
    _chunks()
    _memories()
    _artifacts()
    _tasks()


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("uid", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Ascii, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("participants", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(64)),
        sa.Column("created_by_id", Uuid),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("erased", sa.Text),
        sa.PrimaryKeyConstraint("uid", name="pk_sessions"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_sessions_workspace_id"),
    )
    op.create_index("ix_sessions_id", "sessions", ["workspace_id", "id"], unique=True)
    op.create_index("ix_sessions_uid", "sessions", ["workspace_id", "uid"])
    op.create_index("ix_sessions_status", "sessions", ["workspace_id", "status", "uid"])
    op.create_table(
        "session_participants",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("participant", sa.String(64), nullable=False),
        sa.Column("session_uid", Uuid, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "participant", "session_uid", name="pk_session_participants"),
        sa.ForeignKeyConstraint(
            ["session_uid"], ["sessions.uid"], name="fk_session_participants_session_uid"
        ),
    )
    op.create_index("ix_session_participants_session", "session_participants", ["session_uid"])


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("session_uid", Uuid, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("chunk_id", Ascii, nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("speaker", sa.String(200), nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("author", sa.String(64)),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_uid", "sequence", name="pk_chunks"),
        sa.ForeignKeyConstraint(["session_uid"], ["sessions.uid"], name="fk_chunks_session_uid"),
    )
    op.create_index("ix_chunks_chunk_id", "chunks", ["session_uid", "chunk_id"], unique=True)
    op.create_index("ix_chunks_id", "chunks", ["workspace_id", "id"], unique=True)


def _what_was_remembered() -> list[sa.Column[object]]:
    return [
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("confidence", sa.Float),
        sa.Column("sources", sa.Text, nullable=False),
        sa.Column("superseded_by", Ascii),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("author", sa.String(64)),
    ]


def _memories() -> None:
    op.create_table(
        "memories",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("session_uid", sa.String(36), nullable=False),
        sa.Column("session_id", sa.String(64)),
        sa.Column("key", Ascii, nullable=False),
        *_what_was_remembered(),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_memories"),
    )
    op.create_index("ix_memories_key", "memories", ["workspace_id", "session_uid", "key"], unique=True)
    op.create_index("ix_memories_type", "memories", ["workspace_id", "type", "id"])
    op.create_table(
        "memory_versions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("memory_id", Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("change", sa.String(16), nullable=False),
        *_what_was_remembered(),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "memory_id", "version", name="pk_memory_versions"),
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("session_uid", Uuid, nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("artifact_id", Ascii, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("author", sa.String(64)),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_artifacts"),
        sa.ForeignKeyConstraint(["session_uid"], ["sessions.uid"], name="fk_artifacts_session_uid"),
    )
    op.create_index("ix_artifacts_artifact_id", "artifacts", ["session_uid", "artifact_id"], unique=True)
    op.create_index("ix_artifacts_session", "artifacts", ["session_uid", "id"])
    op.create_table(
        "artifact_versions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("artifact_id", Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("author", sa.String(64)),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("workspace_id", "artifact_id", "version", name="pk_artifact_versions"),
    )
    op.create_index("ix_artifact_versions_sha256", "artifact_versions", ["sha256"])


def _tasks() -> None:
    op.create_table(
        "session_tasks",
        sa.Column("session_uid", Uuid, nullable=False),
        sa.Column("task_id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("key", Ascii, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_uid", "task_id", name="pk_session_tasks"),
        sa.ForeignKeyConstraint(["session_uid"], ["sessions.uid"], name="fk_session_tasks_session_uid"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_session_tasks_task_id"),
    )
    op.create_index("ix_session_tasks_key", "session_tasks", ["session_uid", "key"], unique=True)
    op.create_index("ix_session_tasks_task", "session_tasks", ["task_id"])
    op.add_column("tasks", sa.Column("assignee_id", Uuid))
    op.add_column("tasks", sa.Column("assignee_name", sa.String(64)))
