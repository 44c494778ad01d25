"""Who holds, or waits for, what overlaps with a resource: the search behind every grant and check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, bindparam, literal_column, select, union_all

from repomesh.domains.leases import paths, rules
from repomesh.domains.leases.models import Mode, Obstacle
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.store.transaction import Transaction
from repomesh.store.types import Moment

OBSTACLES_MAX = 100  # told to one caller; the first of them stand for the rest

_NOTHING: ColumnElement[Any] = literal_column("NULL")


@dataclass(frozen=True, slots=True)
class Standing:
    """A lease or a waiting request in a row, which overlaps with a wanted resource."""

    wanted: Resource
    row: Row[Any]

    @property
    def waits(self) -> bool:
        """Whether it only waits."""
        return self.row.position is not None

    def is_past(self, now: datetime) -> bool:
        """Whether it is a lease that ran out without having been ended."""
        return not self.waits and self.row.expires_at <= now

    def is_own_hold(self, agent_id: str, now: datetime) -> bool:
        """Whether it is a live lease of `agent_id` on the very resource that is wanted."""
        same = self.row.resource == self.wanted.text and self.row.agent_id == agent_id
        return same and not self.waits and self.row.expires_at > now

    def excludes(self, mode: Mode) -> bool:
        """Whether its mode and `mode` can't be held at once."""
        return rules.exclude_each_other(self.row.mode, mode)


def find(tx: Transaction, resources: Sequence[Resource]) -> list[Standing]:
    """Every lease that is not ended and every waiting request that overlaps with one of `resources`.

    What is past its expiry is among them. Literal paths read only what stands on their ancestors;
    patterns with wildcards also the range below their prefix.
    """
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource.type, []).append(resource)
    return [
        Standing(resource, row)
        for type_, wanted in by_type.items()
        for row in _candidates(tx, type_, wanted)
        for resource in wanted
        if resource.overlaps(row.resource_type, row.resource)
    ]


def obstacles(
    tx: Transaction,
    standing: Sequence[Standing],
    mode: Mode,
    agent_id: str | None,
    position: int | None = None,
) -> list[Obstacle]:
    """What of `standing` is in the way of `agent_id` (None: of anybody new), which waits at `position`."""
    held: list[Obstacle] = []
    queued: list[Standing] = []
    for one in standing:
        if one.row.expires_at <= tx.now or one.row.agent_id == agent_id or not one.excludes(mode):
            continue
        if one.waits:
            if position is None or one.row.position < position:
                queued.append(one)
        elif len(held) < OBSTACLES_MAX:
            held.append(_obstacle(one))
    waiting = [one for one in queued if not (agent_id and _waits_for(tx, one.row.id, agent_id))]
    return (held + [_obstacle(one) for one in waiting])[:OBSTACLES_MAX]


def _candidates(tx: Transaction, type_: str, wanted: Sequence[Resource]) -> Iterator[Row[Any]]:
    keys: set[str] = set()
    ranges: set[str] = set()
    for resource in wanted:
        if type_ != PATH:
            keys.add(resource.prefix)
            continue
        keys.update(paths.ancestors(resource.prefix))
        if resource.is_pattern:
            ranges.add(resource.prefix)
    common = {"ws": tx.workspace_id, "type": type_, "now": tx.now}
    seen: set[tuple[str, str]] = set()
    yield from _new(tx.execute(_ON_KEYS, common | {"keys": list(keys)}), seen)
    for prefix in sorted(ranges):
        if not prefix:
            yield from _new(tx.execute(_BELOW_ROOT, common), seen)
            return
        # '0' follows '/' in ASCII, so the range holds exactly what lies below the prefix.
        bounds = {"low": prefix + "/", "high": prefix + "0"}
        yield from _new(tx.execute(_BELOW, common | bounds), seen)


def _waits_for(tx: Transaction, wait_id: str, agent_id: str) -> bool:
    """Whether a waiting request waits for something that `agent_id` itself holds.

    Its place in the queue then doesn't count against that agent: each would wait for the other.
    """
    rows = tx.execute(_WAITER, {"wait_id": wait_id}).all()
    wanted = [Resource(row.resource_type, row.resource, row.prefix) for row in rows]
    return any(
        one.row.agent_id == agent_id
        and not one.waits
        and one.row.expires_at > tx.now
        and one.excludes(rows[0].mode)
        for one in find(tx, wanted)
    )


def _obstacle(one: Standing) -> Obstacle:
    row = one.row
    return Obstacle(
        wanted=one.wanted.text,
        resource=row.resource,
        holder=row.agent_id,
        holder_name=row.agent_name,
        mode=row.mode,
        expires_at=row.expires_at,
        waiting=one.waits,
        note=row.note,
        hint=rules.way_around(row.agent_name, waiting=one.waits),
    )


def _new(rows: Any, seen: set[tuple[str, str]]) -> Iterator[Row[Any]]:
    """Rows that no earlier range has brought."""
    for row in rows:
        key = (row.id, row.resource)
        if key not in seen:
            seen.add(key)
            yield row


def _search(*on: str) -> Any:
    """Leases that are not ended, and waiting requests, whose prefix meets a condition."""

    def conditions(table: Table) -> list[ColumnElement[bool]]:
        known = {
            "keys": table.c.prefix.in_(bindparam("keys", expanding=True)),
            "low": table.c.prefix >= bindparam("low"),
            "high": table.c.prefix < bindparam("high"),
            "below root": table.c.prefix > "",
        }
        return [
            table.c.workspace_id == bindparam("ws"),
            table.c.resource_type == bindparam("type"),
            *(known[name] for name in on),
        ]

    held = select(*leases.c, _NOTHING.label("position")).where(
        *conditions(leases), leases.c.ended_at.is_(None)
    )
    shared = {column.name for column in lock_waiters.c} & {column.name for column in leases.c}
    waiting: Select[Any] = select(
        *(lock_waiters.c[column.name] if column.name in shared else _NOTHING for column in leases.c),
        lock_waiters.c.position,
    ).where(*conditions(lock_waiters), lock_waiters.c.expires_at > bindparam("now", type_=Moment()))
    return union_all(held, waiting)


_WAITER = select(lock_waiters).where(lock_waiters.c.id == bindparam("wait_id"))
_ON_KEYS = _search("keys")
_BELOW = _search("low", "high")
_BELOW_ROOT = _search("below root")
