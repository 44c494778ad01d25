"""Meetings with what was said and voted in them, decisions, and templates of meetings."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the tables."""
    _meetings()
    _meeting_participants()
    _meeting_opinions()
    _meeting_proposals()
    _meeting_votes()
    _decisions()
    _meeting_templates()
    _indexes()


def _of_meeting(table: str) -> sa.ForeignKeyConstraint:
    columns, referenced = ["workspace_id", "meeting_id"], ["meetings.workspace_id", "meetings.id"]
    return sa.ForeignKeyConstraint(columns, referenced, name=f"fk_{table}_meeting")


def _meetings() -> None:
    op.create_table(
        "meetings",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("meeting_type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("phase", sa.String(16)),
        sa.Column("due_at", Timestamp),
        sa.Column("flow", sa.Text, nullable=False),
        sa.Column("agenda", sa.Text, nullable=False),
        sa.Column("template", sa.String(64)),
        sa.Column("opinion_prompt", sa.Text, nullable=False),
        sa.Column("vote_prompt", sa.Text, nullable=False),
        sa.Column("related_message_ids", sa.Text, nullable=False),
        sa.Column("related_task_ids", sa.Text, nullable=False),
        sa.Column("supersedes_id", Uuid),
        sa.Column("proposal", sa.Text),
        sa.Column("thread_id", Uuid),
        sa.Column("decision_id", Uuid),
        sa.Column("summary", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(64)),
        sa.Column("created_by_id", Uuid),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("started_at", Timestamp),
        sa.Column("ended_at", Timestamp),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_meetings"),
    )


def _meeting_participants() -> None:
    op.create_table(
        "meeting_participants",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("meeting_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("max_chars", sa.Integer, nullable=False),
        sa.Column("awaited", sa.Boolean, nullable=False),
        sa.Column("message_id", Uuid),
        sa.PrimaryKeyConstraint("workspace_id", "meeting_id", "agent_id", name="pk_meeting_participants"),
        _of_meeting("meeting_participants"),
    )


def _meeting_opinions() -> None:
    op.create_table(
        "meeting_opinions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("meeting_id", Uuid, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("proposal", sa.Text),
        sa.Column("tasks", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "meeting_id", "sequence", name="pk_meeting_opinions"),
        _of_meeting("meeting_opinions"),
    )


def _meeting_proposals() -> None:
    op.create_table(
        "meeting_proposals",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("meeting_id", Uuid, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("sequence", sa.Integer),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("agent_name", sa.String(64)),
        sa.Column("tasks", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "meeting_id", "round", name="pk_meeting_proposals"),
        _of_meeting("meeting_proposals"),
    )


def _meeting_votes() -> None:
    op.create_table(
        "meeting_votes",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("meeting_id", Uuid, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("choice", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("amendment", sa.Text),
        sa.Column("at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "meeting_id", "round", "agent_id", name="pk_meeting_votes"),
        _of_meeting("meeting_votes"),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("rationale", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("meeting_id", Uuid),
        sa.Column("round", sa.Integer),
        sa.Column("consensus", sa.String(16)),
        sa.Column("positions", sa.Text, nullable=False),
        sa.Column("related_message_ids", sa.Text, nullable=False),
        sa.Column("related_task_ids", sa.Text, nullable=False),
        sa.Column("task_ids", sa.Text, nullable=False),
        sa.Column("supersedes_id", Uuid),
        sa.Column("superseded_by_id", Uuid),
        sa.Column("overruled_by", sa.String(64)),
        sa.Column("recorded_by", sa.String(64)),
        sa.Column("recorded_by_id", Uuid),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_decisions"),
    )


def _meeting_templates() -> None:
    op.create_table(
        "meeting_templates",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("name", Ascii, nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("agenda", sa.Text, nullable=False),
        sa.Column("consensus", sa.String(16), nullable=False),
        sa.Column("quorum", sa.Integer),
        sa.Column("max_discussion_rounds", sa.Integer, nullable=False),
        sa.Column("speaking_order", sa.String(16), nullable=False),
        sa.Column("opinion_timeout_s", sa.Float, nullable=False),
        sa.Column("vote_timeout_s", sa.Float, nullable=False),
        sa.Column("opinion_prompt", sa.Text, nullable=False),
        sa.Column("vote_prompt", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(64)),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", name="pk_meeting_templates"),
    )


def _indexes() -> None:
    running = sa.text("status = 'in_progress'")
    op.create_index("ix_meetings_status", "meetings", ["workspace_id", "status", "id"])
    op.create_index(
        "ix_meetings_due",
        "meetings",
        ["workspace_id", "due_at"],
        sqlite_where=running,
        postgresql_where=running,
    )
    part = "meeting_participants"
    op.create_index(f"ix_{part}_agent", part, ["workspace_id", "agent_id", "meeting_id"])
    op.create_index(f"ix_{part}_awaited", part, ["workspace_id", "awaited", "agent_id"])
    op.create_index("ix_decisions_status", "decisions", ["workspace_id", "status", "id"])
    op.create_index("ix_decisions_meeting", "decisions", ["workspace_id", "meeting_id"])
