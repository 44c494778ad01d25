"""Who holds, or waits for, what overlaps with a resource: the search behind every grant and check."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Row

from repomesh.domains.leases import candidates, paths, rows, rules
from repomesh.domains.leases.candidates import PAGE_ROWS, CandidateSearch
from repomesh.domains.leases.errors import ComparisonTooLarge
from repomesh.domains.leases.models import Lease, LockObstacle, Mode
from repomesh.domains.leases.paths import Steps
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.kernel.limits import PATTERN_SEGMENTS_MAX
from repomesh.store.damage import POSSIBLE, is_damage, note, readable
from repomesh.store.transaction import Transaction

OBSTACLES_MAX = 100  # told to one caller; the first of them stand for the rest


@dataclass(frozen=True, slots=True)
class Overlap:
    """A lease or a waiting request in a row, which overlaps with a wanted resource."""

    wanted: Resource
    row: Row[Any]


@dataclass(frozen=True, slots=True)
class Targets:
    """What is about to be written: files and whole folders by their exact names, and patterns of files."""

    files: Sequence[str] = ()
    folders: Sequence[str] = ()
    patterns: Sequence[Resource] = ()


@dataclass(slots=True)
class ConflictScan:
    """The leases on wanted resources, as far as they matter to one agent that wants them in one mode."""

    agent_id: str | None
    mode: Mode
    steps: Steps  # what comparing cost so far
    searches: list[CandidateSearch] = field(default_factory=list)
    held: list[Overlap] = field(default_factory=list)  # live leases of others that exclude it
    expired: dict[str, Row[Any]] = field(default_factory=dict)  # leases that ran out, by id, not yet ended
    own: dict[Resource, Row[Any]] = field(default_factory=dict)  # what it holds of the very same

    @property
    def full(self) -> bool:
        """Whether more would change nothing: it is refused, and told enough."""
        return len(self.held) >= OBSTACLES_MAX


def scan(
    tx: Transaction,
    resources: Sequence[Resource],
    mode: Mode,
    agent_id: str | None,
    steps: Steps | None = None,
) -> ConflictScan:
    """Look at every lease that overlaps with `resources`, for an agent or anybody new.

    Reads what stands on the ancestors of a path, and what stands below it. Raises ComparisonTooLarge when
    that would take more than COMPARISON_STEPS_MAX, those that `steps` has counted already included; and
    DamagedRecord for a lease beside `resources` that can't be read.
    """
    found = ConflictScan(agent_id, mode, steps or Steps())
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource.type, []).append(resource)
    for type_, wanted in by_type.items():
        search = CandidateSearch(tx, type_, wanted, agent_id, mode)
        found.searches.append(search)
        for row, possible in search.held():
            try:
                for resource in _overlapping(row, possible, found.steps):
                    _note(tx, found, Overlap(resource, row))
            except POSSIBLE as error:  # it may stand against it
                raise _damaged(row, error) from error
            if found.full:
                return found
            _require_steps(found.steps)
    return found


def obstacles(tx: Transaction, found: ConflictScan, position: int | None) -> list[LockObstacle]:
    """What is in the way of the agent of a scan, which may itself wait at `position`.

    At most OBSTACLES_MAX: the leases; only without any the requests that wait ahead. Raises
    ComparisonTooLarge.
    """
    if found.held:
        return [obstacle(one.row, one.wanted.text) for one in found.held[:OBSTACLES_MAX]]
    obstacles_found: list[LockObstacle] = []
    holdings: _Holdings | None = None
    for search in found.searches:
        ahead = _ahead(search, position, found.steps)
        while requests := list(islice(ahead, PAGE_ROWS)):
            holdings = holdings or _Holdings(tx, found.agent_id)
            waiting_for_us = holdings.waited_for(requests, found.steps)
            obstacles_found += [
                obstacle(one.row, one.wanted.text, waiting=True)
                for one in requests
                if one.row.id not in waiting_for_us
            ]
            if len(obstacles_found) >= OBSTACLES_MAX:
                return obstacles_found[:OBSTACLES_MAX]
    return obstacles_found


def _ahead(search: CandidateSearch, position: int | None, steps: Steps) -> Iterator[Overlap]:
    """The requests ahead of `position` that wait for something wanted."""
    for row, possible in search.waiting(position):
        # One that can't be read is left out: its agent asks again.
        for overlapping in readable(search.tx, [row], partial(_all_overlapping, possible, steps), rows.name):
            yield from (Overlap(resource, row) for resource in overlapping)
        _require_steps(steps)


class _Holdings:
    """The live leases of an agent, sorted by prefix, to tell which waiting requests wait for one of them.

    The place of such a request in the queue doesn't count against the agent: each would wait for the other.
    """

    def __init__(self, tx: Transaction, agent_id: str | None) -> None:
        self._tx = tx
        held = rows.live_of(tx, agent_id) if agent_id else ()
        kept = readable(tx, held, lambda row: (row, rows.as_lease(row)), rows.name)
        self._held = sorted([row for row, _lease in kept], key=lambda row: row.prefix)
        self._prefixes = [row.prefix for row in self._held]

    def waited_for(self, some: Sequence[Overlap], steps: Steps) -> set[str]:
        """The ids of those of at most PAGE_ROWS requests that wait for something the agent holds."""
        if not self._held:
            return set()
        found = {one.row.id for one in some if self._excludes(one.row, steps)}
        others = sorted({one.row.id for one in some} - found)
        if others:
            for row in candidates.requests(self._tx, others):
                if row.id not in found and self._excludes(row, steps):
                    found.add(row.id)
                _require_steps(steps)
        return found

    def _excludes(self, row: Row[Any], steps: Steps) -> bool:
        """Whether one of the leases excludes what one row of a waiting request waits for."""
        wanted = Resource(row.resource_type, row.resource, row.prefix)
        steps.taken += 1
        return any(
            rules.exclude_each_other(lease.mode, row.mode)
            and wanted.overlaps(lease.resource_type, lease.resource, steps)
            for lease in self._leases_around(wanted)
        )

    def _leases_around(self, wanted: Resource) -> Iterator[Row[Any]]:
        is_path = wanted.type == PATH
        for prefix in paths.ancestors(wanted.prefix) if is_path else (wanted.prefix,):
            start = bisect_left(self._prefixes, prefix)
            yield from self._held[start : bisect_left(self._prefixes, prefix + "\0")]
        if is_path:
            # '0' follows '/' in ASCII.
            low, high = (wanted.prefix + "/", wanted.prefix + "0") if wanted.prefix else (" ", None)
            start = bisect_left(self._prefixes, low)
            yield from self._held[start : bisect_left(self._prefixes, high) if high else None]


def holders_of(tx: Transaction, some: Sequence[Resource]) -> list[Row[Any]]:
    """Every live lease that overlaps with one of some resources, whoever holds it and in whatever mode.

    Raises ComparisonTooLarge.
    """
    found: dict[str, Row[Any]] = {}
    steps = Steps()
    for resource in some:
        for row, possible in CandidateSearch(tx, resource.type, [resource], None).held():
            if any(readable(tx, [row], partial(_is_overlapping, tx, possible, steps), rows.name)):
                found[row.id] = row
            _require_steps(steps)
    return list(found.values())


def holders_of_targets(tx: Transaction, targets: Targets, agent_id: str | None) -> list[tuple[Row[Any], str]]:
    """The live locks of others, exclusive or shared, on what is about to be written; and on which part of it.

    What stands below a file counts, too: where a file or a submodule is put, nothing of it can be.
    At most OBSTACLES_MAX. Names are literal; only `targets.patterns` are compared as patterns. A bounded
    number of indexed reads and comparisons: behind COMPARISON_STEPS_MAX whatever may stand against it does.
    """
    found: dict[str, tuple[Row[Any], str]] = {}
    for row, target in _on_targets(tx, targets, agent_id):
        if row.expires_at > tx.now and row.agent_id != agent_id:
            found.setdefault(row.id, (row, target))
            if len(found) >= OBSTACLES_MAX:
                break
    return list(found.values())


def obstacle(held: Lease | Row[Any], wanted: str, *, waiting: bool = False) -> LockObstacle:
    """A lease or, with `waiting`, a waiting request that is in the way of a wanted resource."""
    try:
        return _obstacle(held, wanted, waiting=waiting)
    except POSSIBLE as error:
        if isinstance(held, Lease):
            raise
        raise _damaged(held, error) from error


def _damaged(row: Row[Any], error: Exception) -> Exception:
    """What to raise for a lease that can't be compared: DamagedRecord, if it is no fault of the code."""
    return rows.damaged(row, error) if is_damage(error, row) else error


def _is_overlapping(tx: Transaction, possible: Sequence[Resource], steps: Steps, row: Row[Any]) -> bool:
    return row.expires_at > tx.now and any(_overlapping(row, possible, steps))


def _obstacle(held: Lease | Row[Any], wanted: str, *, waiting: bool) -> LockObstacle:
    return LockObstacle(
        wanted=wanted,
        resource_type=held.resource_type,
        resource=held.resource,
        holder=held.agent_id,
        holder_name=held.agent_name,
        mode=held.mode,
        expires_at=held.expires_at,
        waiting=waiting,
        note=held.note,
        hint=rules.way_around(held.agent_name, waiting=waiting),
    )


def _on_targets(tx: Transaction, targets: Targets, agent_id: str | None) -> Iterator[tuple[Row[Any], str]]:
    steps = Steps()
    files = _by_ancestor(targets.files)
    folders = _by_ancestor(targets.folders)
    for row in _comparable(tx, candidates.held_on(tx, {*files, *folders})):
        for name in files.get(row.prefix, ()):
            steps.taken += 1
            below = row.prefix == name  # a file where a pattern such as `name/*.py` has a folder
            if below or steps.exhausted or paths.holds(row.resource, name, steps):
                yield row, name
                break
        for name in folders.get(row.prefix, ()):
            steps.taken += 1
            if steps.exhausted or paths.holds_below(row.resource, name, steps):
                yield row, name
                break
    for name in targets.folders:
        if _storable(name):
            for row in _comparable(tx, candidates.held_below(tx, name, agent_id)):
                yield row, name
    yield from candidates.held_below_each(tx, [name for name in targets.files if _storable(name)], agent_id)
    for pattern in targets.patterns:
        possible = CandidateSearch(tx, PATH, [pattern], agent_id).held()
        for row in _comparable(tx, (row for row, _pattern in possible)):
            steps.taken += 1
            if steps.exhausted or pattern.overlaps(PATH, row.resource, steps):
                yield row, pattern.text


def _comparable(tx: Transaction, found: Iterable[Row[Any]]) -> Iterator[Row[Any]]:
    """The leases without those whose resource or time can't be read, which are noted."""
    for row in found:
        if isinstance(row.resource, str) and isinstance(row.expires_at, datetime):
            yield row
        else:
            note(tx, rows.name(row), TypeError("its resource or time can't be read"))


def _by_ancestor(names: Iterable[str]) -> dict[str, list[str]]:
    """The names by each prefix that a lock on them may stand under."""
    found: dict[str, list[str]] = {}
    for name in names:
        for key in paths.ancestors(name)[: PATTERN_SEGMENTS_MAX + 1]:
            if not _storable(key):
                break  # no lock has such a prefix
            found.setdefault(key, []).append(name)
    return found


def _storable(name: str) -> bool:
    """Whether a lock can have this as its prefix, which is always valid Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _overlapping(row: Row[Any], possible: Iterable[Resource], steps: Steps) -> Iterator[Resource]:
    """Those of some resources that overlap with a row's; counts the steps."""
    for resource in possible:
        steps.taken += 1
        if resource.overlaps(row.resource_type, row.resource, steps):
            yield resource


def _all_overlapping(possible: Iterable[Resource], steps: Steps, row: Row[Any]) -> list[Resource]:
    return list(_overlapping(row, possible, steps))


def _require_steps(steps: Steps) -> None:
    if steps.exhausted:
        raise ComparisonTooLarge("too many patterns would have to be compared with each other")


def _note(tx: Transaction, found: ConflictScan, one: Overlap) -> None:
    row = one.row
    if row.expires_at <= tx.now:
        found.expired[row.id] = row
    elif row.agent_id == found.agent_id:
        if row.resource == one.wanted.text:
            found.own[one.wanted] = row
    elif rules.exclude_each_other(row.mode, found.mode):
        found.held.append(one)
