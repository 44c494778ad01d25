"""CLI sessions, deliveries, the process of an instance, and the warnings about leases."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Timestamp, Uuid

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables, and the columns in those that stand."""
    op.add_column("instances", sa.Column("process_id", sa.String(64)))
    op.add_column("leases", sa.Column("warned_s", sa.Integer))
    _cli_sessions()
    _deliveries()
    not_injected = sa.text("injected_at IS NULL")
    op.create_index(
        "ix_receipts_not_injected",
        "receipts",
        ["workspace_id", "agent_id", "message_id", "priority", "expires_at", "injected_at"],
        sqlite_where=not_injected,
        postgresql_where=not_injected,
    )


def _cli_sessions() -> None:
    op.create_table(
        "cli_sessions",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("cli", sa.String(32), nullable=False),
        sa.Column("session_id", sa.String(128), nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("instance_id", sa.String(64), nullable=False),
        sa.Column("processes", sa.Text, nullable=False),
        sa.Column("transcript_path", sa.Text),
        sa.Column("cwd", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("stop_blocks", sa.Integer, nullable=False),
        sa.Column("stop_told", sa.Text, nullable=False),
        sa.Column("briefing_due", sa.Boolean, nullable=False),
        sa.Column("started_at", Timestamp, nullable=False),
        sa.Column("last_hook_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp),
        sa.Column("ended_reason", sa.String(64)),
        sa.PrimaryKeyConstraint("workspace_id", "cli", "session_id", name="pk_cli_sessions"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_cli_sessions_agent_id"),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_cli_sessions_live",
        "cli_sessions",
        ["workspace_id", "agent_id"],
        sqlite_where=live,
        postgresql_where=live,
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("boundary", sa.String(64), nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("cli", sa.String(32)),
        sa.Column("session_id", sa.String(128)),
        sa.Column("route", sa.String(32), nullable=False),
        sa.Column("message_ids", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("sent_at", Timestamp),
        sa.Column("confirmed_at", Timestamp),
        sa.Column("failed_at", Timestamp),
        sa.Column("failure", sa.String(200)),
        sa.PrimaryKeyConstraint("workspace_id", "boundary", name="pk_deliveries"),
    )
    undecided = sa.text("confirmed_at IS NULL AND failed_at IS NULL")
    op.create_index("ix_deliveries_at", "deliveries", ["workspace_id", "at"])
    op.create_index(
        "ix_deliveries_open",
        "deliveries",
        ["workspace_id", "cli", "session_id", "at"],
        sqlite_where=undecided,
        postgresql_where=undecided,
    )
    op.create_table(
        "delivery_messages",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("message_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("boundary", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id", "message_id", "agent_id", "boundary", name="pk_delivery_messages"
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "boundary"],
            ["deliveries.workspace_id", "deliveries.boundary"],
            name="fk_delivery_messages_delivery",
        ),
    )
    op.create_index("ix_delivery_messages_boundary", "delivery_messages", ["workspace_id", "boundary"])
