"""Names that are copied beside an id into other tables, so that no list needs a join."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, update

from repomesh.store.transaction import Transaction


def rename_copies(
    tx: Transaction, table: Table, role: str, id_: str, name: str, *conditions: ColumnElement[bool]
) -> None:
    """Set `<role>_name` where `<role>_id` is `id_`, in the workspace's rows that meet `conditions`."""
    matching = table.c.workspace_id == tx.workspace_id, table.c[f"{role}_id"] == id_, *conditions
    tx.execute(update(table).where(*matching).values({f"{role}_name": name}))
