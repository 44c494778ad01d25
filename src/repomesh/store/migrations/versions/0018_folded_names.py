"""Agents are told apart by their names without regard to case."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii

revision = "0018"
down_revision = "0017"

_BATCH = 1_000

_agents = sa.table(
    "agents", sa.column("id"), sa.column("workspace_id"), sa.column("name"), sa.column("name_key")
)


def upgrade() -> None:
    """Add the key of each name. Of agents whose names differ in nothing but case, the first keeps the key;
    a later one gets one of its own, so that its exact name still reaches it."""
    op.add_column("agents", sa.Column("name_key", Ascii))
    _fill(op.get_bind())
    with op.batch_alter_table("agents") as batch:
        batch.alter_column("name_key", existing_type=Ascii, nullable=False)
    op.create_index("ix_agents_name_key", "agents", ["workspace_id", "name_key"], unique=True)


def _fill(connection: sa.Connection) -> None:
    in_order = sa.text("SELECT id, workspace_id, name FROM agents ORDER BY created_at, id")
    used_keys: set[tuple[str, str]] = set()
    keys: list[dict[str, str]] = []
    for row in connection.execute(in_order):
        key = row.name.casefold()
        is_used = (row.workspace_id, key) in used_keys
        used_keys.add((row.workspace_id, key))
        keys.append({"agent": row.id, "key": f"{key}#{row.id}" if is_used else key})
    fill = (
        sa.update(_agents).where(_agents.c.id == sa.bindparam("agent")).values(name_key=sa.bindparam("key"))
    )
    for start in range(0, len(keys), _BATCH):
        connection.execute(fill, keys[start : start + _BATCH])
