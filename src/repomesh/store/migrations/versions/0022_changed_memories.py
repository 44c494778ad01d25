"""Memories of a type in the order in which they changed, besides that in which they were made."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Find the memories of a type that changed last."""
    op.create_index("ix_memories_changed", "memories", ["workspace_id", "type", "updated_at", "id"])
