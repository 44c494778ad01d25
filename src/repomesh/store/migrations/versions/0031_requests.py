"""Requests with their briefs, plans and tasks."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Json, Timestamp, Uuid

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "requests",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("id", Uuid, primary_key=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("request_class", sa.String(16), nullable=False),
        sa.Column("class_detected", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("next_step", sa.Text, nullable=False),
        sa.Column("waits_for", sa.String(8)),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("approval", sa.String(8), nullable=False),
        sa.Column("stopped_reason", sa.Text),
        sa.Column("stopped_by", sa.String(64)),
        sa.Column("requester_id", Uuid),
        sa.Column("requester_name", sa.String(64), nullable=False),
        sa.Column("files", Json, nullable=False),
        sa.Column("attachments", Json, nullable=False),
        sa.Column("roles", Json, nullable=False),
        sa.Column("brief_version", sa.Integer, nullable=False),
        sa.Column("plan_version", sa.Integer, nullable=False),
        sa.Column("violations", Json, nullable=False),
        sa.Column("rounds", sa.Integer, nullable=False),
        sa.Column("plan_due_at", Timestamp),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_requests_state", "requests", ["workspace_id", "state", "id"])
    is_due = sa.text("plan_due_at IS NOT NULL")
    op.create_index(
        "ix_requests_plan_due",
        "requests",
        ["plan_due_at", "workspace_id"],
        sqlite_where=is_due,
        postgresql_where=is_due,
    )
    op.create_table(
        "request_documents",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("request_id", Uuid, primary_key=True),
        sa.Column("type", sa.String(8), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("document", Json, nullable=False),
        sa.Column("risks", Json, nullable=False),
        sa.Column("author_id", Uuid),
        sa.Column("author_name", sa.String(64), nullable=False),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("approved_at", Timestamp),
        sa.Column("at", Timestamp, nullable=False),
    )
    op.create_table(
        "request_tasks",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("task_id", Uuid, primary_key=True),
        sa.Column("request_id", Uuid, nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_index("ix_request_tasks_request", "request_tasks", ["workspace_id", "request_id", "position"])
