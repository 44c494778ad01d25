"""Agents can be renamed; the names that they had before go on leading to them."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp, Uuid

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the former names; nobody has one yet."""
    op.create_table(
        "former_names",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("name_key", Ascii, primary_key=True),
        sa.Column("name", Ascii, nullable=False),
        sa.Column("agent_id", Uuid, sa.ForeignKey("agents.id"), nullable=False),
        sa.Column("until", Timestamp, nullable=False),
    )
    op.create_index("ix_former_names_agent", "former_names", ["workspace_id", "agent_id"])
