"""Changes keep the commit as which the queue rebuilt them, and lanes whether somebody woke them."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the columns; what was rebuilt before is shown as it was submitted."""
    op.add_column("changes", sa.Column("built_base", sa.String(40)))
    op.add_column("changes", sa.Column("built_head", sa.String(40)))
    op.add_column("queue_lanes", sa.Column("woken", sa.Boolean, nullable=False, server_default=sa.true()))
