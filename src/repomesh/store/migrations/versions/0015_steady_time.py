"""The time of each log's last event, the server's own row, and when the server was away."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Let time go on from the newest event, whatever the clock says by now."""
    with op.batch_alter_table("counters") as batch:
        batch.add_column(sa.Column("last_at", sa.BigInteger, nullable=False, server_default="0"))
        batch.add_column(sa.Column("left_at", sa.BigInteger))
        batch.add_column(sa.Column("returned_at", sa.BigInteger))
    op.execute(
        "UPDATE counters SET last_at = coalesce("
        "(SELECT max(at) FROM events WHERE events.workspace_id = counters.workspace_id), 0)"
    )
    with op.batch_alter_table("counters") as batch:
        batch.alter_column("last_at", existing_type=sa.BigInteger, server_default=None)
