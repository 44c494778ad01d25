"""An index by sender that few queries read costs each message the page of its sender."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Drop the index of what was never offered: the sender's own messages are looked through instead."""
    op.drop_index("ix_receipts_not_offered", "receipts")
