"""Keyset pages: as fast on page 1,000 as on page 1, and stable while rows are added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

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


@dataclass(frozen=True, slots=True)
class ItemsRead(Generic[Item]):
    """The items of a page, the position of each in its list, and the cursor of the next page."""

    items: list[Item]
    positions: Sequence[tuple[str | int | float | None, ...]]
    next_cursor: str | None

    def cursor_after(self, index: int) -> str:
        """The cursor of a page that begins behind the item of this index."""
        return encode_cursor(*self.positions[index])


def read_items(
    tx: Transaction,
    statement: Select[Any],
    request: PageRequest,
    keys: Sequence[ColumnElement[Any]],
    as_item: Callable[[Row[Any]], Item],
    *,
    descending: bool = False,
) -> ItemsRead[Item]:
    """The items of a page of `statement` in the order of `keys`, which are as those of a Listing.

    A record that can't be read is left out, and noted in `tx.damaged`. A page of long records ends before
    its limit, where PAGE_CHARS_MAX are read. Raises InvalidRequest for a cursor of another list.
    """
    if request.cursor is not None:
        bound = tuple_(*position(request.cursor, keys))
        statement = statement.where(tuple_(*keys) < bound if descending else tuple_(*keys) > bound)
    order = [key.desc() if descending else key.asc() for key in keys]
    rows, has_more = take(tx.execute(statement.order_by(*order).limit(request.limit + 1)), request.limit)

    def position_of(row: Row[Any]) -> tuple[Any, ...]:
        return tuple(row._mapping[key] for key in keys)

    readable = convert_readable(
        tx,
        rows,
        lambda row: (as_item(row), position_of(row)),
        lambda row: "/".join(map(str, position_of(row))),
    )
    next_cursor = encode_cursor(*position_of(rows[-1])) if has_more else None
    return ItemsRead([item for item, _ in readable], [position for _, position in readable], next_cursor)


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
