"""What memories mean, as vectors, and the order in which memories changed."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Uuid

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table and the index."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "memory_vectors",
        sa.Column("id", number, nullable=False, autoincrement=True),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("memory_id", Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_memory_vectors"),
        sqlite_autoincrement=True,
    )
    memory = ["workspace_id", "memory_id"]
    op.create_index("ix_memory_vectors_memory", "memory_vectors", memory, unique=True)
    op.create_index("ix_memory_vectors_model", "memory_vectors", ["workspace_id", "model", "id"])
    op.create_index("ix_memories_updated", "memories", ["workspace_id", "updated_at", "id"])
