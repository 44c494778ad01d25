"""Leases that their holder lost, until it is told of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column and its index. What was lost before was told of by events, if at all."""
    op.add_column("leases", sa.Column("lost", sa.String(64)))
    lost = sa.text("lost IS NOT NULL")
    columns = ["workspace_id", "agent_id", "lost"]
    op.create_index("ix_leases_lost", "leases", columns, sqlite_where=lost, postgresql_where=lost)
