"""Written summaries: what a language model made of a session, kept until the session changes."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Timestamp, Uuid

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "session_summaries",
        sa.Column("session_uid", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("made_at", Timestamp, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_uid", name="pk_session_summaries"),
        sa.ForeignKeyConstraint(["session_uid"], ["sessions.uid"], name="fk_session_summaries_session_uid"),
    )
