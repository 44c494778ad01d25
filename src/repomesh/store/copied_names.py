"""Names that stand beside an id in another table, so that no list needs a join: kept as they are now."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, update

from repomesh.store.transaction import Transaction


def rename_copies(
    tx: Transaction, table: Table, role: str, id_: str, name: str, *chosen: ColumnElement[bool]
) -> None:
    """Set `<role>_name` where `<role>_id` is `id_`, in the chosen rows of the workspace."""
    mine = table.c.workspace_id == tx.workspace_id, table.c[f"{role}_id"] == id_, *chosen
    tx.execute(update(table).where(*mine).values({f"{role}_name": name}))
