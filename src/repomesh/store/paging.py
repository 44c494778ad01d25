"""Keyset pages: as fast on page 1,000 as on page 1, and stable while rows are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import ColumnElement, Result, Row, Select, tuple_

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.fields import decode_cursor, encode_cursor
from repomesh.store.damage import convert_readable
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
    A record that can't be read is left out, and noted in `tx.damaged`. A page of long records ends before
    its limit, where PAGE_CHARS_MAX are read.
    """
    if request.cursor is not None:
        bound = tuple_(*position(request.cursor, keys))
        statement = statement.where(tuple_(*keys) < bound if descending else tuple_(*keys) > bound)
    order = [key.desc() if descending else key.asc() for key in keys]
    ordered = statement.order_by(*order).limit(request.limit + 1)
    rows, has_more = take(tx.execute(ordered), request.limit)
    items = convert_readable(tx, rows, as_item, lambda row: "/".join(str(row._mapping[key]) for key in keys))
    last = tuple(rows[-1]._mapping[key] for key in keys) if has_more else ()
    return items, encode_cursor(*last) if has_more else None


def take(result: Result[Any], count: int, chars: int = limits.PAGE_CHARS_MAX) -> tuple[list[Row[Any]], bool]:
    """Up to `count` rows with at most `chars` characters, but at least one; and whether there are more.

    The remaining rows are not read, so that they take no memory.
    """
    rows: list[Row[Any]] = []
    chars_left = chars
    for row in result:
        chars_left -= row_chars(row)
        if len(rows) == count or (rows and chars_left < 0):
            result.close()
            return rows, True
        rows.append(row)
    return rows, False


def row_chars(row: Row[Any]) -> int:
    """The characters of a row's texts; JSON in it counts as its text, which has about as many bytes."""
    size = 0
    for value in row:
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, (dict, list)):
            size += len(orjson.dumps(value))
    return size


def position(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[str | int | float | None]:
    """The values of `keys` that a cursor holds; raises InvalidRequest when they are none of these."""
    parts = decode_cursor(cursor, len(keys))
    for part, key in zip(parts, keys, strict=True):
        if not isinstance(part, key.type.python_type):
            raise InvalidRequest("cursor: this is not a cursor of this list")
    return parts
