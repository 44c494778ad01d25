"""Events of the severities that few have, by their numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the index."""
    notable = sa.text("severity != 'info'")
    columns = ["workspace_id", "severity", "seq"]
    op.create_index("ix_events_severity", "events", columns, sqlite_where=notable, postgresql_where=notable)
