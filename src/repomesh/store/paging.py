"""Keyset pages: as fast on page 1,000 as on page 1, and stable while rows are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import orjson
import structlog
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Result, Row, Select, tuple_

from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord, InvalidRequest
from repomesh.kernel.fields import decode_cursor, encode_cursor
from repomesh.store.transaction import Transaction

Item = TypeVar("Item")
log = structlog.get_logger("repomesh.store")

UNREADABLE = (DamagedRecord, ValidationError, LookupError)
"""What reading a damaged record raises: a column's type, its model, or a table of the values it may have."""


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
    try:
        rows, more = take(tx.execute(ordered), request.limit)
        items = [as_item(row) for row in rows]
        last = tuple(rows[-1]._mapping[key] for key in keys) if more else ()
    except UNREADABLE:
        places = [tuple(row) for row in tx.execute(ordered.with_only_columns(*keys))]
        items, count = _readable(tx, statement, keys, places[: request.limit], as_item)
        more = count < len(places)
        last = places[count - 1]
    return items, encode_cursor(*last) if more else None


def take(found: Result[Any], count: int, chars: int = limits.PAGE_CHARS_MAX) -> tuple[list[Row[Any]], bool]:
    """Up to `count` rows, read one after another up to so many characters; and whether there are more.

    The first row comes in any case. What is left is not read, so that it takes no memory.
    """
    rows: list[Row[Any]] = []
    left = chars
    for row in found:
        left -= row_chars(row)
        if len(rows) == count or (rows and left < 0):
            found.close()
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


def _readable(
    tx: Transaction,
    statement: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    places: Sequence[tuple[Any, ...]],
    as_item: Callable[[Row[Any]], Item],
) -> tuple[list[Item], int]:
    """The items at these places, each read alone, without those that can't be read; and how many were.

    As in `take`, a page of long records ends early.
    """
    items: list[Item] = []
    left = limits.PAGE_CHARS_MAX
    for count, place in enumerate(places):
        here = (key == value for key, value in zip(keys, place, strict=True))
        try:
            row = tx.execute(statement.where(*here)).first()
            left -= 0 if row is None else row_chars(row)
            if items and left < 0:
                return items, count
            items += [] if row is None else [as_item(row)]
        except UNREADABLE as error:
            tx.damaged.append("/".join(map(str, place)))
            log.error("damaged record left out", place=place, reason=str(error))
    return items, len(places)


def position(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[str | int | float | None]:
    """The values of `keys` that a cursor holds; raises InvalidRequest when they are none of these."""
    parts = decode_cursor(cursor, len(keys))
    for part, key in zip(parts, keys, strict=True):
        if not isinstance(part, key.type.python_type):
            raise InvalidRequest("cursor: this is not a cursor of this list")
    return parts
