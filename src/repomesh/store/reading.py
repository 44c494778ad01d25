"""Reading the log by filter: a page, along the shortest index and within the numbers of its time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Result, Select, bindparam, func, select, union_all

from repomesh.kernel.limits import PAGE_CHARS_MAX
from repomesh.store.filters import EventFilter, type_prefix
from repomesh.store.log import bounds, within_bytes
from repomesh.store.prepared import PreparedStatement
from repomesh.store.tables import events
from repomesh.store.types import Unreadable

# More types than these are most of the log, which is then read along its numbers.
_TYPES_MAX = 24

_NEXT_TYPE = PreparedStatement(
    select(func.min(events.c.type)).where(
        events.c.workspace_id == bindparam("ws"),
        events.c.type > bindparam("last"),
        events.c.type < bindparam("end"),
    )
)
_FOLLOWING_TYPE = PreparedStatement(
    select(func.min(events.c.type)).where(
        events.c.workspace_id == bindparam("ws"), events.c.type > bindparam("last")
    )
)
_AT = PreparedStatement(
    select(events.c.at).where(events.c.workspace_id == bindparam("ws"), events.c.seq == bindparam("seq"))
)
# Older releases wrote down what the clock said, even when it had been put back since the event before.
_CLOCK_SLACK = timedelta(seconds=60)


def types_of(connection: Connection, workspace_id: str, count: int) -> list[str]:
    """Up to `count` of the types in the log, in their order, found by jumping from one to the next."""
    types: list[str] = []
    while len(types) < count:
        last = types[-1] if types else ""
        next_type = _FOLLOWING_TYPE.run(connection, {"ws": workspace_id, "last": last}).scalar_one()
        if next_type is None:
            break
        types.append(next_type)
    return types


def first_seq_since(connection: Connection, workspace_id: str, moment: datetime) -> int:
    """A number before which every event of the log is older than `moment`; found by binary search."""
    low, last = bounds(connection, workspace_id)
    high = last + 1
    earliest = _shift(moment, -_CLOCK_SLACK)
    while low < high:
        middle = (low + high) // 2
        probe, probe_time = middle, _time_of(connection, workspace_id, middle)
        while isinstance(probe_time, Unreadable) and probe < high - 1:  # take the next readable event
            probe += 1
            probe_time = _time_of(connection, workspace_id, probe)
        if not isinstance(probe_time, Unreadable) and (probe_time is None or probe_time < earliest):
            low = probe + 1  # None: archived a moment ago
        else:
            high = middle
    return low


def _shift(moment: datetime, by: timedelta) -> datetime:
    """A moment so much later or earlier, or the last or first one that there is."""
    try:
        return moment + by
    except OverflowError:
        return (datetime.max if by > timedelta() else datetime.min).replace(tzinfo=moment.tzinfo)


def _time_of(connection: Connection, workspace_id: str, seq: int) -> datetime | Unreadable | None:
    moment: datetime | Unreadable | None = _AT.run(
        connection, {"ws": workspace_id, "seq": seq}
    ).scalar_one_or_none()
    return moment


def read_page(
    connection: Connection,
    event_filter: EventFilter,
    *,
    after: int | None,
    before: int | None,
    count: int,
    newest: bool,
) -> Result[Any]:
    """Up to `count` rows of the log that match, in the order of their numbers, or newest first.

    A range of times is one of numbers, too. Read the rows one after another: their data may be long.
    """
    matching = select(events).where(event_filter.where())
    if after is not None:
        matching = matching.where(events.c.seq > after)
    if before is not None:
        matching = matching.where(events.c.seq < before)
    if event_filter.since is not None:
        matching = matching.where(
            events.c.seq >= first_seq_since(connection, event_filter.workspace_id, event_filter.since)
        )
    if event_filter.until is not None:
        until = _shift(event_filter.until, 2 * _CLOCK_SLACK)
        end = first_seq_since(connection, event_filter.workspace_id, until)
        matching = matching.where(events.c.seq < end)
    types = _matching_types(connection, event_filter)
    if types is None:
        return _execute_sized(connection, matching, events.c.seq, count, newest=newest)
    parts = [
        select(
            _order_and_limit(
                matching.where(events.c.type == type_), events.c.seq, count, newest=newest
            ).subquery()
        )
        for type_ in types
    ]
    combined = union_all(*parts).subquery()
    return _execute_sized(connection, select(combined), combined.c.seq, count, newest=newest)


def _execute_sized(
    connection: Connection, statement: Select[Any], seq: Any, count: int, *, newest: bool
) -> Result[Any]:
    ordered = _order_and_limit(statement, seq, count, newest=newest)
    return connection.execute(within_bytes(connection, ordered, seq, PAGE_CHARS_MAX, newest=newest))


def _order_and_limit(statement: Select[Any], seq: Any, count: int, *, newest: bool) -> Select[Any]:
    return statement.order_by(seq.desc() if newest else seq.asc()).limit(count)


def _matching_types(connection: Connection, event_filter: EventFilter) -> list[str] | None:
    """The types in the log that the filter names, found by jumping from one to the next in their index.

    One planner reads the whole log for a rare type rather than sort what its index finds; per type, the index
    is in the order of the numbers already. None when the filter names no types, or too many are there.
    """
    if not event_filter.types:
        return None
    types: dict[str, None] = {}
    for requested_type in event_filter.types:
        prefix = type_prefix(requested_type)
        types[prefix] = None
        last: str | None = f"{prefix}."
        while last is not None:
            parameters = {"ws": event_filter.workspace_id, "last": last, "end": f"{prefix}/"}
            last = _NEXT_TYPE.run(connection, parameters).scalar_one()
            if last is not None:
                types[last] = None
            if len(types) > _TYPES_MAX:
                return None
    return list(types)
