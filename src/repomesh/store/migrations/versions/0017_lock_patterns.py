"""Locks with wildcards have an index of their own, by which they are counted."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the index."""
    patterns = sa.text("ended_at IS NULL AND resource != prefix")
    columns = ["workspace_id", "agent_id"]
    op.create_index("ix_leases_patterns", "leases", columns, sqlite_where=patterns, postgresql_where=patterns)
