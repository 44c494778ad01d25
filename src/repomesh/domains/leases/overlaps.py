"""Who holds, or waits for, what overlaps with a resource: the search behind every grant and check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, bindparam, literal_column, or_, select, union_all

from repomesh.domains.leases import paths, rules
from repomesh.domains.leases.errors import InvalidResource
from repomesh.domains.leases.models import Mode, Obstacle
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

OBSTACLES_MAX = 100  # told to one caller; the first of them stand for the rest

_KEYS_FEW, _KEYS_MANY = 8, 64  # prefixes that one statement takes; its shape must not change
_PAGE_ROWS = 500  # of a range; most searches that find anything in their way need no second page
_FIRST, _BEHIND_ALL = " ", "\U0010ffff" * (paths.PATTERN_CHARS_MAX + 1)  # a range of all that can be written
_NOTHING: ColumnElement[Any] = literal_column("NULL")


@dataclass(frozen=True, slots=True)
class Standing:
    """A lease or a waiting request in a row, which overlaps with a wanted resource."""

    wanted: Resource
    row: Row[Any]


@dataclass(slots=True)
class Survey:
    """What there is on wanted resources, as far as it matters to one agent that wants them in one mode."""

    held: list[Standing] = field(default_factory=list)  # live leases of others that exclude it
    queued: list[Standing] = field(default_factory=list)  # others that wait for what excludes it
    past: dict[str, Row[Any]] = field(default_factory=dict)  # leases that ran out, by id, not yet ended
    own: dict[Resource, Row[Any]] = field(default_factory=dict)  # what it holds of the very same

    @property
    def full(self) -> bool:
        """Whether more would change nothing: it is refused, and told enough."""
        return len(self.held) >= OBSTACLES_MAX


def survey(tx: Transaction, resources: Sequence[Resource], mode: Mode, agent_id: str | None) -> Survey:
    """Look at every lease and waiting request that overlaps with `resources`, for an agent or anybody new.

    A literal path reads only what stands on its ancestors, a pattern also the range below its prefix.
    """
    found = Survey()
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource.type, []).append(resource)
    for type_, wanted in by_type.items():
        for row, beside in _candidates(tx, type_, wanted, agent_id):
            for resource in beside:
                if resource.overlaps(type_, row.resource):
                    _note(tx, found, Standing(resource, row), mode, agent_id)
            if found.full:
                return found
    return found


def obstacles(tx: Transaction, found: Survey, agent_id: str | None, position: int | None) -> list[Obstacle]:
    """What of a survey is in the way of the agent, which may itself wait at `position`."""
    ahead = [
        one
        for one in found.queued
        if (position is None or one.row.position < position)
        and not (agent_id and _waits_for(tx, one.row.id, agent_id))
    ]
    return [_obstacle(one) for one in (found.held + ahead)[:OBSTACLES_MAX]]


def holders_of(tx: Transaction, resource: Resource) -> list[Row[Any]]:
    """Every live lease that overlaps with a resource, whoever holds it and in whatever mode."""
    return [
        row
        for row, _beside in _candidates(tx, resource.type, [resource], None)
        if row.position is None and row.expires_at > tx.now and resource.overlaps(resource.type, row.resource)
    ]


def holders_of_paths(tx: Transaction, literal_paths: Iterable[str], agent_id: str | None) -> list[Row[Any]]:
    """The live locks of others, exclusive or shared, that hold one of these files: one indexed read.

    In a file's path no character is a wildcard. Raises InvalidResource for one outside the repository.
    """
    wanted = [_clean(path) for path in literal_paths]
    keys = {key for path in wanted for key in paths.ancestors(path)[: paths.PATTERN_SEGMENTS_MAX + 1]}
    common = {"ws": tx.workspace_id, "type": PATH}
    return [
        row
        for row in _on_keys(tx, common, keys)
        if row.position is None
        and row.expires_at > tx.now
        and row.agent_id != agent_id
        and any(paths.matches(row.resource, path) for path in wanted)
    ]


def _note(tx: Transaction, found: Survey, one: Standing, mode: Mode, agent_id: str | None) -> None:
    row = one.row
    waits = row.position is not None
    if row.expires_at <= tx.now:
        if not waits:
            found.past[row.id] = row
    elif row.agent_id == agent_id:
        if not waits and row.resource == one.wanted.text:
            found.own[one.wanted] = row
    elif rules.exclude_each_other(row.mode, mode):
        (found.queued if waits else found.held).append(one)


def _candidates(
    tx: Transaction, type_: str, wanted: Sequence[Resource], agent_id: str | None
) -> Iterator[tuple[Row[Any], Sequence[Resource]]]:
    """Rows that may overlap, and with which; of the agent's own leases those on the very same resource."""
    keys: set[str] = set()
    for resource in wanted:
        keys.update(paths.ancestors(resource.prefix) if type_ == PATH else (resource.prefix,))
    common = {"ws": tx.workspace_id, "type": type_}
    for row in _on_keys(tx, common, keys):
        yield row, wanted
    for resource in wanted:
        if not resource.is_pattern:
            continue
        for row in _below(tx, common | {"agent": agent_id or ""}, resource):
            if row.prefix not in keys:
                yield row, (resource,)


def _on_keys(tx: Transaction, common: dict[str, Any], keys: Iterable[str]) -> Iterator[Row[Any]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _KEYS_MANY):
        some = ordered[start : start + _KEYS_MANY]
        size, statement = (_KEYS_FEW, _ON_FEW) if len(some) <= _KEYS_FEW else (_KEYS_MANY, _ON_MANY)
        some += some[-1:] * (size - len(some))
        yield from tx.execute(statement, common | {f"key{index}": key for index, key in enumerate(some)})


def _below(tx: Transaction, common: dict[str, Any], pattern: Resource) -> Iterator[Row[Any]]:
    """What stands below the pattern's prefix; of literal paths those that end as the pattern does."""
    # '0' follows '/' in ASCII, so the range holds exactly what lies below the prefix.
    prefix = pattern.prefix
    low, high = (prefix + "/", prefix + "0") if prefix else (_FIRST, _BEHIND_ALL)
    bounds = common | {"low": low, "high": high}
    yield from tx.execute(_WAITING_BELOW, bounds)
    ending = rules.ending(pattern.text).replace("%", r"\%").replace("_", r"\_")
    after = {"ending": "%" + ending, "after_prefix": "", "after_id": ""}
    while True:
        rows = tx.execute(_HELD_BELOW, bounds | after).all()
        yield from rows
        if len(rows) < _PAGE_ROWS:
            return
        after |= {"after_prefix": rows[-1].prefix, "after_id": rows[-1].id}


def _waits_for(tx: Transaction, wait_id: str, agent_id: str) -> bool:
    """Whether a waiting request waits for something that `agent_id` itself holds.

    Its place in the queue then doesn't count against that agent: each would wait for the other.
    """
    rows = tx.execute(_WAITER, {"wait_id": wait_id}).all()
    waits_for = [Resource(row.resource_type, row.resource, row.prefix) for row in rows]
    found = survey(tx, waits_for, rows[0].mode, rows[0].agent_id)
    return any(one.row.agent_id == agent_id for one in found.held)


def _obstacle(one: Standing) -> Obstacle:
    row = one.row
    waits = row.position is not None
    return Obstacle(
        wanted=one.wanted.text,
        resource_type=one.wanted.type,
        resource=row.resource,
        holder=row.agent_id,
        holder_name=row.agent_name,
        mode=row.mode,
        expires_at=row.expires_at,
        waiting=waits,
        note=row.note,
        hint=rules.way_around(row.agent_name, waiting=waits),
    )


def _clean(path: str) -> str:
    try:
        paths.matches("**", path)
    except paths.InvalidPathPattern as error:
        raise InvalidResource(error.problem, hint=error.hint) from None
    return "/".join(segment for segment in path.split("/") if segment not in ("", "."))


# -- statements ------------------------------------------------------------------------------------


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """A lease's columns and its place in the queue, of whichever table."""
    position = table.c.get("position", _NOTHING.label("position"))
    return [*(table.c.get(column.name, _NOTHING) for column in leases.c), position]


def _of_type(table: Table) -> list[ColumnElement[bool]]:
    """Not ended; whether it is past its time is for the reader, since nearly none is."""
    wanted = [table.c.workspace_id == bindparam("ws"), table.c.resource_type == bindparam("type")]
    return [*wanted, leases.c.ended_at.is_(None)] if table is leases else wanted


def _standing_on(count: int) -> Prepared:
    """Leases that are not ended, and requests that still wait, on one of `count` prefixes."""
    keys: list[Any] = [bindparam(f"key{index}") for index in range(count)]
    return Prepared(
        union_all(
            *(
                select(*_columns(table)).where(*_of_type(table), table.c.prefix.in_(keys))
                for table in (leases, lock_waiters)
            )
        )
    )


def _range(table: Table) -> list[ColumnElement[bool]]:
    return [table.c.prefix >= bindparam("low"), table.c.prefix < bindparam("high")]


_ON_FEW, _ON_MANY = _standing_on(_KEYS_FEW), _standing_on(_KEYS_MANY)
_WAITING_BELOW = Prepared(
    select(*_columns(lock_waiters)).where(*_of_type(lock_waiters), *_range(lock_waiters))
)
_HELD_BELOW = Prepared(
    select(*_columns(leases))
    .where(
        *_of_type(leases),
        *_range(leases),
        leases.c.agent_id != bindparam("agent"),
        or_(
            leases.c.resource != leases.c.prefix,
            leases.c.resource.like(bindparam("ending"), escape="\\"),
        ),
        or_(
            leases.c.prefix > bindparam("after_prefix"),
            (leases.c.prefix == bindparam("after_prefix")) & (leases.c.id > bindparam("after_id")),
        ),
    )
    .order_by(leases.c.prefix, leases.c.id)
    .limit(_PAGE_ROWS)
)
_WAITER = Prepared(select(lock_waiters).where(lock_waiters.c.id == bindparam("wait_id")))
