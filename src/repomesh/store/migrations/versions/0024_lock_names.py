"""Locks on files and requests for them are indexed by name and by depth, for patterns to find them."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Ascii

revision = "0024"
down_revision = "0023"

_FOLDER = "rtrim(resource, replace(resource, '/', ''))"  # up to the last slash
_FILL = (
    f"name = substr(resource, length({_FOLDER}) + 1, 64),"
    " depth = length(resource) - length(replace(resource, '/', '')) + 1"
    " WHERE resource_type = 'path' AND kind NOT IN ('*', '/')"
)


def upgrade() -> None:
    """Add the name and the depth of each file, and the indexes."""
    for table, is_open, order in (
        ("leases", "ended_at IS NULL AND ", ["prefix", "id"]),
        ("lock_waiters", "", ["prefix", "id", "ordinal"]),
    ):
        op.add_column(table, sa.Column("name", Ascii))
        op.add_column(table, sa.Column("depth", sa.Integer))
        op.execute(f"UPDATE {table} SET {_FILL}")  # noqa: S608 - no value from outside
        for column, columns in (("name", ["name"]), ("depth", ["depth", "kind"])):
            condition = sa.text(f"{is_open}{column} IS NOT NULL")
            op.create_index(
                f"ix_{table}_{column}",
                table,
                ["workspace_id", *columns, *order],
                sqlite_where=condition,
                postgresql_where=condition,
            )
