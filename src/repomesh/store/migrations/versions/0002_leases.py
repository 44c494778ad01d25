"""The tables of the domain `leases`."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of the domain `leases`."""
    _leases()
    _lock_waiters()


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("resource_type", sa.String(16), nullable=False),
        sa.Column("resource", Ascii, nullable=False),
        sa.Column("prefix", Ascii, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("instance_id", sa.String(64)),
        sa.Column("token_id", Uuid, nullable=False),
        sa.Column("fencing_token", sa.BigInteger, nullable=False),
        sa.Column("task_id", Uuid),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("ttl_us", sa.BigInteger, nullable=False),
        sa.Column("acquired_at", Timestamp, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.Column("max_hold_until", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp),
        sa.Column("ended_reason", sa.String(32)),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_leases_workspace_id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_leases_agent_id"),
    )
    op.create_index("ix_leases_fencing_token", "leases", ["workspace_id", "fencing_token"])
    still_open, over = sa.text("ended_at IS NULL"), sa.text("ended_at IS NOT NULL")
    for name, columns, where in (
        ("ix_leases_prefix", ["resource_type", "prefix", "id"], still_open),
        ("ix_leases_holder", ["agent_id", "token_id"], still_open),
        ("ix_leases_expiry", ["expires_at"], still_open),
        ("ix_leases_ended", ["ended_at"], over),
    ):
        op.create_index(
            name, "leases", ["workspace_id", *columns], sqlite_where=where, postgresql_where=where
        )


def _lock_waiters() -> None:
    op.create_table(
        "lock_waiters",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("id", Uuid, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("resource_type", sa.String(16), nullable=False),
        sa.Column("resource", Ascii, nullable=False),
        sa.Column("prefix", Ascii, nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("since", Timestamp, nullable=False),
        sa.Column("expires_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("id", "ordinal", name="pk_lock_waiters"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_lock_waiters_workspace_id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_lock_waiters_agent_id"),
    )
    op.create_index("ix_lock_waiters_prefix", "lock_waiters", ["workspace_id", "resource_type", "prefix"])
    op.create_index("ix_lock_waiters_request", "lock_waiters", ["workspace_id", "agent_id", "request_hash"])
    op.create_index("ix_lock_waiters_expiry", "lock_waiters", ["workspace_id", "expires_at"])
