"""Questions to people, and waits that outlive the call which began them."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Timestamp, Uuid

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    _questions()
    _question_indexes()
    _waits()


def _questions() -> None:
    op.create_table(
        "questions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("asker_id", Uuid, nullable=False),
        sa.Column("asker_name", sa.String(64), nullable=False),
        sa.Column("asked_id", Uuid, nullable=False),
        sa.Column("asked_name", sa.String(64), nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("default_answer", sa.Text),
        sa.Column("deadline_s", sa.Float),
        sa.Column("deadline_at", Timestamp),
        sa.Column("escalate_to_id", Uuid),
        sa.Column("escalate_to_name", sa.String(64)),
        sa.Column("escalated_at", Timestamp),
        sa.Column("escalation_message_id", Uuid),
        sa.Column("task_id", Uuid),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("option", sa.Text),
        sa.Column("answered_by", sa.String(64)),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("closed_at", Timestamp),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_questions"),
    )


def _question_indexes() -> None:
    handed_on, due = sa.text("escalated_at IS NOT NULL"), sa.text("status = 'open'")
    op.create_index("ix_questions_message", "questions", ["workspace_id", "message_id"])
    op.create_index("ix_questions_asker", "questions", ["workspace_id", "asker_id", "id"])
    op.create_index("ix_questions_asked", "questions", ["workspace_id", "asked_id", "id"])
    op.create_index(
        "ix_questions_escalated",
        "questions",
        ["workspace_id", "escalate_to_id", "id"],
        sqlite_where=handed_on,
        postgresql_where=handed_on,
    )
    op.create_index(
        "ix_questions_due",
        "questions",
        ["workspace_id", "deadline_at", "id"],
        sqlite_where=due,
        postgresql_where=due,
    )


def _waits() -> None:
    op.create_table(
        "waits",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("until", Timestamp, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_waits"),
    )
    op.create_index("ix_waits_agent", "waits", ["workspace_id", "agent_id", "status", "created_at"])
    op.create_index("ix_waits_expires_at", "waits", ["workspace_id", "expires_at"])
