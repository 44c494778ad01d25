"""What an agent's own token claimed is told from what the owner's token claimed."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add whether an agent's token named the process. What stands there counts as the owner's, as before."""
    for table in ("instances", "cli_sessions"):
        column = sa.Column("claimed_by_agent", sa.Boolean, nullable=False, server_default=sa.false())
        op.add_column(table, column)
        with op.batch_alter_table(table) as batch:
            batch.alter_column("claimed_by_agent", existing_type=sa.Boolean, server_default=None)
