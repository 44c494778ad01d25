"""Locks and requests for them are indexed by kind: a pattern from further up reads what it may match."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii

revision = "0019"
down_revision = "0018"

_HEAD = "rtrim(resource, replace(resource, '.', ''))"  # up to the last dot
_EXTENSION = f"substr(resource, length({_HEAD}))"
_KIND = (
    "CASE WHEN resource <> prefix THEN '*' "
    "WHEN replace(resource, '.', '') = resource THEN '/' "
    f"WHEN replace({_EXTENSION}, '/', '') <> {_EXTENSION} THEN '/' "
    f"WHEN length({_HEAD}) = 1 OR substr({_HEAD}, length({_HEAD}) - 1, 1) = '/' THEN '/' "
    f"WHEN length({_EXTENSION}) > 16 THEN '/' "
    f"ELSE {_EXTENSION} END"
)


def upgrade() -> None:
    """Add the kind of each lock and of each request that waits for one, and the indexes."""
    for table in ("leases", "lock_waiters"):
        op.add_column(table, sa.Column("kind", Ascii))
        op.execute(f"UPDATE {table} SET kind = {_KIND}")  # noqa: S608 - no value from outside
        with op.batch_alter_table(table) as batch:
            batch.alter_column("kind", existing_type=Ascii, nullable=False)
    columns = ["workspace_id", "resource_type", "kind", "prefix", "id"]
    still_open = sa.text("ended_at IS NULL")
    op.create_index("ix_leases_kind", "leases", columns, sqlite_where=still_open, postgresql_where=still_open)
    op.create_index("ix_lock_waiters_kind", "lock_waiters", [*columns, "ordinal"])
    op.drop_index("ix_lock_waiters_prefix", "lock_waiters")
    in_pages = ["workspace_id", "resource_type", "prefix", "id", "ordinal"]
    op.create_index("ix_lock_waiters_prefix", "lock_waiters", in_pages)
