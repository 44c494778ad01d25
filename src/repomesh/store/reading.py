"""Reading the log by filter: a page, along the shortest index and within the numbers of its time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Result, Select, bindparam, func, select, union_all

from repomesh.kernel.limits import PAGE_CHARS_MAX
from repomesh.store.filters import EventFilter, type_prefix
from repomesh.store.log import bounds, within_bytes
from repomesh.store.prepared import Prepared
from repomesh.store.tables import events
from repomesh.store.types import Unreadable

# More types than these are most of the log, which is then read along its numbers.
_TYPES_MAX = 24

_NEXT_TYPE = Prepared(
    select(func.min(events.c.type)).where(
        events.c.workspace_id == bindparam("ws"),
        events.c.type > bindparam("last"),
        events.c.type < bindparam("end"),
    )
)
_FOLLOWING_TYPE = Prepared(
    select(func.min(events.c.type)).where(
        events.c.workspace_id == bindparam("ws"), events.c.type > bindparam("last")
    )
)
_AT = Prepared(
    select(events.c.at).where(events.c.workspace_id == bindparam("ws"), events.c.seq == bindparam("seq"))
)
# Older releases wrote down what the clock said, even when it had been put back since the event before.
_CLOCK_SLACK = timedelta(seconds=60)


def types_of(connection: Connection, workspace_id: str, count: int) -> list[str]:
    """Up to `count` of the types in the log, in their order, found by jumping from one to the next."""
    found: list[str] = []
    while len(found) < count:
        last = found[-1] if found else ""
        following = _FOLLOWING_TYPE.run(connection, {"ws": workspace_id, "last": last}).scalar_one()
        if following is None:
            break
        found.append(following)
    return found


def first_seq_since(connection: Connection, workspace_id: str, moment: datetime) -> int:
    """A number before which no event of the log is of that time or later; found by halving."""
    low, last = bounds(connection, workspace_id)
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        probe, at = middle, _at(connection, workspace_id, middle)
        while isinstance(at, Unreadable) and probe < high - 1:  # its next readable neighbour stands for it
            probe += 1
            at = _at(connection, workspace_id, probe)
        if not isinstance(at, Unreadable) and (at is None or at < moment - _CLOCK_SLACK):
            low = probe + 1  # None: archived a moment ago
        else:
            high = middle
    return low


def _at(connection: Connection, workspace_id: str, seq: int) -> datetime | Unreadable | None:
    at: datetime | Unreadable | None = _AT.run(
        connection, {"ws": workspace_id, "seq": seq}
    ).scalar_one_or_none()
    return at


def read_page(
    connection: Connection,
    wanted: EventFilter,
    *,
    after: int | None,
    before: int | None,
    count: int,
    newest: bool,
) -> Result[Any]:
    """Up to `count` rows of the log that match, in the order of their numbers, or newest first.

    A range of times is one of numbers, too. Read the rows one after another: their data may be long.
    """
    matching = select(events).where(wanted.where())
    if after is not None:
        matching = matching.where(events.c.seq > after)
    if before is not None:
        matching = matching.where(events.c.seq < before)
    if wanted.since is not None:
        matching = matching.where(
            events.c.seq >= first_seq_since(connection, wanted.workspace_id, wanted.since)
        )
    if wanted.until is not None:
        end = first_seq_since(connection, wanted.workspace_id, wanted.until + 2 * _CLOCK_SLACK)
        matching = matching.where(events.c.seq < end)
    types = _types(connection, wanted)
    if types is None:
        return _read(connection, matching, events.c.seq, count, newest=newest)
    parts = [
        select(
            _ordered(matching.where(events.c.type == type_), events.c.seq, count, newest=newest).subquery()
        )
        for type_ in types
    ]
    together = union_all(*parts).subquery()
    return _read(connection, select(together), together.c.seq, count, newest=newest)


def _read(
    connection: Connection, statement: Select[Any], seq: Any, count: int, *, newest: bool
) -> Result[Any]:
    ordered = _ordered(statement, seq, count, newest=newest)
    return connection.execute(within_bytes(connection, ordered, seq, PAGE_CHARS_MAX, newest=newest))


def _ordered(statement: Select[Any], seq: Any, count: int, *, newest: bool) -> Select[Any]:
    return statement.order_by(seq.desc() if newest else seq.asc()).limit(count)


def _types(connection: Connection, wanted: EventFilter) -> list[str] | None:
    """The types in the log that the filter names, found by jumping from one to the next in their index.

    One planner reads the whole log for a rare type rather than sort what its index finds; per type, the index
    is in the order of the numbers already. None when the filter names no types, or too many are there.
    """
    if not wanted.types:
        return None
    found: dict[str, None] = {}
    for named in wanted.types:
        prefix = type_prefix(named)
        found[prefix] = None
        last: str | None = f"{prefix}."
        while last is not None:
            ends = {"ws": wanted.workspace_id, "last": last, "end": f"{prefix}/"}
            last = _NEXT_TYPE.run(connection, ends).scalar_one()
            if last is not None:
                found[last] = None
            if len(found) > _TYPES_MAX:
                return None
    return list(found)
