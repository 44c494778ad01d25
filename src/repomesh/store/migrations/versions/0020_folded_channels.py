"""Channels are told apart by their names without regard to case."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii

revision = "0020"
down_revision = "0019"

_BATCH = 1_000

_channels = sa.table("channels", sa.column("id"), sa.column("name_key"))


def upgrade() -> None:
    """Add the key of each name. Of channels whose names differ in nothing but case, an open one before an
    archived one, and an earlier before a later one keeps the key; the others get one of their own, so that
    their exact names still reach them."""
    op.add_column("channels", sa.Column("name_key", Ascii))
    _fill(op.get_bind())
    with op.batch_alter_table("channels") as batch:
        batch.alter_column("name_key", existing_type=Ascii, nullable=False)
    op.create_index("ix_channels_name_key", "channels", ["workspace_id", "name_key"], unique=True)


def _fill(connection: sa.Connection) -> None:
    in_order = sa.text(
        "SELECT id, workspace_id, name FROM channels ORDER BY archived_at IS NOT NULL, created_at, id"
    )
    used_keys: set[tuple[str, str]] = set()
    keys: list[dict[str, str]] = []
    for row in connection.execute(in_order):
        key = row.name.casefold()
        is_used = (row.workspace_id, key) in used_keys
        used_keys.add((row.workspace_id, key))
        keys.append({"channel": row.id, "key": f"{key}#{row.id}" if is_used else key})
    own = _channels.c.id == sa.bindparam("channel")
    fill = sa.update(_channels).where(own).values(name_key=sa.bindparam("key"))
    for start in range(0, len(keys), _BATCH):
        connection.execute(fill, keys[start : start + _BATCH])
