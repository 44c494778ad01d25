"""The spine: counters, the event log, idempotency, full text, workspaces, tokens, agents."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of the store itself and of the domains `workspaces` and `agents`."""
    _store_tables()
    _full_text()
    _workspaces()
    _agents()


def _store_tables() -> None:
    op.create_table(
        "counters",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("oldest_seq", sa.BigInteger, nullable=False),
        sa.Column("last_fencing_token", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_counters"),
    )
    op.create_table(
        "events",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("type", Ascii, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("actor", Uuid),
        sa.Column("audience", sa.String(16), nullable=False),
        sa.Column("audience_ids", sa.Text, nullable=False),
        sa.Column("channel_id", Uuid),
        sa.Column("task_id", Uuid),
        sa.Column("recipient_id", Uuid),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("correlation_id", sa.String, nullable=False),
        sa.Column("causation_id", sa.String),
        sa.Column("hop", sa.Integer, nullable=False),
        sa.Column("traceparent", sa.String),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "seq", name="pk_events"),
    )
    op.create_index("ix_events_type", "events", ["workspace_id", "type", "seq"])
    op.create_index("ix_events_actor", "events", ["workspace_id", "actor", "seq"])
    op.create_index("ix_events_correlation", "events", ["workspace_id", "correlation_id", "seq"])
    for column in ("task_id", "channel_id"):
        present = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_events_{column}",
            "events",
            ["workspace_id", column, "seq"],
            sqlite_where=present,
            postgresql_where=present,
        )
    op.create_table(
        "idempotency_records",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("principal", sa.String, nullable=False),
        sa.Column("operation", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id", "principal", "operation", "key", name="pk_idempotency_records"
        ),
    )
    op.create_index("ix_idempotency_records_at", "idempotency_records", ["at"])


def _full_text() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("subject_id", Uuid, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
    )
    op.create_index("ix_documents_subject", "documents", ["workspace_id", "type", "subject_id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ALTER TABLE documents ADD COLUMN words TEXT NOT NULL DEFAULT ''")
        op.execute(
            "CREATE VIRTUAL TABLE document_text"
            " USING fts5(words, content='documents', content_rowid='id', tokenize='unicode61')"
        )
        op.execute("CREATE TABLE document_index (through INTEGER NOT NULL)")
        op.execute("INSERT INTO document_index (through) VALUES (0)")
    else:
        op.execute("ALTER TABLE documents ADD COLUMN words tsvector NOT NULL")
        op.execute("CREATE INDEX ix_documents_words ON documents USING gin (words)")


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("home", sa.Boolean, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("removed_at", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_workspaces"),
    )
    op.create_index(
        "uq_workspaces_name",
        "workspaces",
        ["name"],
        unique=True,
        sqlite_where=sa.text("removed_at IS NULL"),
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("agent_id", Uuid),
        sa.Column("instance_id", sa.String(64)),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("revoked_at", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_tokens_workspace_id"),
    )
    op.create_index("uq_tokens_hash", "tokens", ["hash"], unique=True)
    op.create_index("ix_tokens_agent", "tokens", ["workspace_id", "agent_id"])


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("name", Ascii, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("program", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("capabilities", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_text", sa.String(200), nullable=False),
        sa.Column("resources", sa.Text, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("last_seen_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_agents_workspace_id"),
        sa.UniqueConstraint("workspace_id", "name", name="uq_agents_workspace_id_name"),
    )
    op.create_index("ix_agents_status", "agents", ["workspace_id", "status", "last_seen_at"])
    op.create_table(
        "instances",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("token_id", Uuid, nullable=False),
        sa.Column("started_at", Timestamp, nullable=False),
        sa.Column("last_seen_at", Timestamp, nullable=False),
        sa.Column("closed_at", Timestamp),
        sa.Column("closed_reason", sa.String(64)),
        sa.PrimaryKeyConstraint("workspace_id", "agent_id", "id", name="pk_instances"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_instances_agent_id"),
        sa.ForeignKeyConstraint(["token_id"], ["tokens.id"], name="fk_instances_token_id"),
    )
