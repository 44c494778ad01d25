"""Outgoing webhooks: subscriptions, and what is on its way to their receivers."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Timestamp, Uuid

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables of the domain `webhooks`."""
    op.create_table(
        "webhooks",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("agent_id", Uuid),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("old_secret", sa.Text),
        sa.Column("old_secret_until", Timestamp),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", Timestamp),
        sa.Column("failing_since", Timestamp),
        sa.Column("rests_until", Timestamp),
        sa.Column("claimed_by", Uuid),
        sa.Column("claimed_until", Timestamp),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_webhooks_workspace_id"),
    )
    op.create_index("ix_webhooks_workspace", "webhooks", ["workspace_id", "id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("webhook_id", Uuid, nullable=False),
        sa.Column("event_id", Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("type", sa.String(100), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("next_at", Timestamp),
        sa.Column("last_at", Timestamp),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("response", sa.Text),
        sa.Column("ended_at", Timestamp),
        sa.Column("forget_at", Timestamp),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_webhook_deliveries_webhook_id"),
    )
    op.create_index("ix_webhook_deliveries_webhook", "webhook_deliveries", ["webhook_id", "id"])
    _some("ix_webhook_deliveries_due", ["webhook_id", "next_at", "seq"], "status = 'waiting'")
    _some("ix_webhook_deliveries_dead", ["webhook_id", "id"], "status = 'dead'")
    _some("ix_webhook_deliveries_forget", ["workspace_id", "forget_at"], "forget_at IS NOT NULL")


def _some(name: str, columns: list[str], where: str) -> None:
    """Index those rows alone that the condition holds for."""
    condition = sa.text(where)
    op.create_index(name, "webhook_deliveries", columns, sqlite_where=condition, postgresql_where=condition)
