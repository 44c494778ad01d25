"""Keyset pages: as fast on page 1,000 as on page 1, and stable while rows are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Row, Select, tuple_

from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.fields import decode_cursor, encode_cursor
from repomesh.store.transaction import Transaction

Item = TypeVar("Item")


class PageRequest(Protocol):
    """A request for one page of a list."""

    @property
    def cursor(self) -> str | None:
        """Where the page before ended."""

    @property
    def limit(self) -> int:
        """Items a page."""


def page(
    tx: Transaction,
    statement: Select[Any],
    request: PageRequest,
    keys: Sequence[ColumnElement[Any]],
    as_item: Callable[[Row[Any]], Item],
    *,
    descending: bool = False,
) -> tuple[list[Item], str | None]:
    """One page of `statement` in the order of `keys`, and the cursor of the next.

    The keys together must be unique, not null, in the statement's columns, and of type text or integer.
    """
    if request.cursor is not None:
        bound = tuple_(*position(request.cursor, keys))
        statement = statement.where(tuple_(*keys) < bound if descending else tuple_(*keys) > bound)
    order = [key.desc() if descending else key.asc() for key in keys]
    rows = tx.execute(statement.order_by(*order).limit(request.limit + 1)).all()
    shown = rows[: request.limit]
    items = [as_item(row) for row in shown]
    if len(rows) <= request.limit:
        return items, None
    last = shown[-1]._mapping
    return items, encode_cursor(*(last[key] for key in keys))


def position(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[str | int | float | None]:
    """The values of `keys` that a cursor holds; raises InvalidRequest when they are none of these."""
    parts = decode_cursor(cursor, len(keys))
    for part, key in zip(parts, keys, strict=True):
        if not isinstance(part, key.type.python_type):
            raise InvalidRequest("cursor: this is not a cursor of this list")
    return parts
