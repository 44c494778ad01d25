"""Contents in a shared database: artifacts over 1 MiB, in pieces, under their SHA-256.

The files that a server on a shared database kept in its data folder are moved when it starts.
"""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii, Timestamp

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "contents",
        sa.Column("sha256", Ascii, nullable=False),
        sa.Column("kept_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_contents"),
    )
    op.create_table(
        "content_pieces",
        sa.Column("sha256", Ascii, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("piece", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("sha256", "position", name="pk_content_pieces"),
        sa.ForeignKeyConstraint(
            ["sha256"], ["contents.sha256"], name="fk_content_pieces_sha256", ondelete="CASCADE"
        ),
    )
