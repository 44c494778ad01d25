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
from repomesh.domains.leases.paths import ComparisonBudget
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.kernel.limits import PATTERN_SEGMENTS_MAX
from repomesh.store.damage import MAYBE_DAMAGE_ERRORS, convert_readable, is_damage, note_damage
from repomesh.store.transaction import Transaction

OBSTACLES_MAX = 100  # reported to one caller; the first of them stand for the rest


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
    budget: ComparisonBudget  # what comparing cost so far
    searches: list[CandidateSearch] = field(default_factory=list)
    conflicting: list[Overlap] = field(default_factory=list)  # live leases of others that exclude it
    expired: dict[str, Row[Any]] = field(default_factory=dict)  # leases that ran out, by id, not yet ended
    own: dict[Resource, Row[Any]] = field(default_factory=dict)  # its own leases on exactly these resources

    @property
    def full(self) -> bool:
        """Whether the scan can stop: as many conflicting leases were found as are reported."""
        return len(self.conflicting) >= OBSTACLES_MAX


def scan(
    tx: Transaction,
    resources: Sequence[Resource],
    mode: Mode,
    agent_id: str | None,
    budget: ComparisonBudget | None = None,
) -> ConflictScan:
    """Find every lease that overlaps with `resources`, for an agent, or for a new one with None.

    Reads what stands on the ancestors of a path, and what stands below it. Raises ComparisonTooLarge when
    that would take more than COMPARISON_STEPS_MAX, those that `budget` has counted already included; and
    DamagedRecord for a lease beside `resources` that can't be read.
    """
    result = ConflictScan(agent_id, mode, budget or ComparisonBudget())
    by_type: dict[str, list[Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource.type, []).append(resource)
    for type_, typed_resources in by_type.items():
        search = CandidateSearch(tx, type_, typed_resources, agent_id, mode)
        result.searches.append(search)
        for row, candidate_resources in search.find_leases():
            try:
                for resource in _find_overlapping(row, candidate_resources, result.budget):
                    _record_overlap(tx, result, Overlap(resource, row))
            except MAYBE_DAMAGE_ERRORS as error:  # it may stand against it
                raise _damage_error(row, error) from error
            if result.full:
                return result
            _require_steps(result.budget)
    return result


def obstacles_in(tx: Transaction, conflict_scan: ConflictScan, position: int | None) -> list[LockObstacle]:
    """Return what is in the way of the agent of a scan, which may itself wait at `position`.

    At most OBSTACLES_MAX: the conflicting leases or, if there are none, the requests that wait ahead. Raises
    ComparisonTooLarge.
    """
    if conflict_scan.conflicting:
        return [
            as_obstacle(overlap.row, overlap.wanted.text)
            for overlap in conflict_scan.conflicting[:OBSTACLES_MAX]
        ]
    obstacles_found: list[LockObstacle] = []
    holdings: _Holdings | None = None
    for search in conflict_scan.searches:
        requests_ahead = _find_requests_ahead(search, position, conflict_scan.budget)
        while requests := list(islice(requests_ahead, PAGE_ROWS)):
            holdings = holdings or _Holdings(tx, conflict_scan.agent_id)
            ids_waiting_for_agent = holdings.find_waiting_ids(requests, conflict_scan.budget)
            obstacles_found += [
                as_obstacle(overlap.row, overlap.wanted.text, waiting=True)
                for overlap in requests
                if overlap.row.id not in ids_waiting_for_agent
            ]
            if len(obstacles_found) >= OBSTACLES_MAX:
                return obstacles_found[:OBSTACLES_MAX]
    return obstacles_found


def _find_requests_ahead(
    search: CandidateSearch, position: int | None, budget: ComparisonBudget
) -> Iterator[Overlap]:
    """Yield the requests ahead of `position` that wait for a wanted resource."""
    for row, candidate_resources in search.find_waiters(position):
        # One that can't be read is left out: its agent asks again.
        list_overlapping = partial(_list_overlapping, candidate_resources, budget)
        for resources in convert_readable(search.tx, [row], list_overlapping, rows.record_name):
            yield from (Overlap(resource, row) for resource in resources)
        _require_steps(budget)


class _Holdings:
    """The live leases of an agent, sorted by prefix, to find the waiting requests that wait for one of them.

    The place of such a request in the queue doesn't count against the agent: each would wait for the other.
    """

    def __init__(self, tx: Transaction, agent_id: str | None) -> None:
        self._tx = tx
        lease_rows = rows.live_of(tx, agent_id) if agent_id else ()
        readable_leases = convert_readable(
            tx, lease_rows, lambda row: (row, rows.as_lease(row)), rows.record_name
        )
        self._held = sorted([row for row, _lease in readable_leases], key=lambda row: row.prefix)
        self._prefixes = [row.prefix for row in self._held]

    def find_waiting_ids(self, requests: Sequence[Overlap], budget: ComparisonBudget) -> set[str]:
        """Return the ids of those requests, at most PAGE_ROWS, that wait for something the agent holds."""
        if not self._held:
            return set()
        waiting_ids = {request.row.id for request in requests if self._excludes(request.row, budget)}
        remaining_ids = sorted({request.row.id for request in requests} - waiting_ids)
        if remaining_ids:
            for row in candidates.waiter_rows(self._tx, remaining_ids):
                if row.id not in waiting_ids and self._excludes(row, budget):
                    waiting_ids.add(row.id)
                _require_steps(budget)
        return waiting_ids

    def _excludes(self, row: Row[Any], budget: ComparisonBudget) -> bool:
        """Whether one of the leases excludes what one row of a waiting request waits for."""
        resource = Resource(row.resource_type, row.resource, row.prefix)
        budget.taken += 1
        return any(
            rules.exclude_each_other(lease.mode, row.mode)
            and resource.overlaps(lease.resource_type, lease.resource, budget)
            for lease in self._leases_around(resource)
        )

    def _leases_around(self, resource: Resource) -> Iterator[Row[Any]]:
        is_path = resource.type == PATH
        for prefix in paths.ancestors(resource.prefix) if is_path else (resource.prefix,):
            start = bisect_left(self._prefixes, prefix)
            yield from self._held[start : bisect_left(self._prefixes, prefix + "\0")]
        if is_path:
            # '0' follows '/' in ASCII.
            low, high = (resource.prefix + "/", resource.prefix + "0") if resource.prefix else (" ", None)
            start = bisect_left(self._prefixes, low)
            yield from self._held[start : bisect_left(self._prefixes, high) if high else None]


def overlapping_leases(tx: Transaction, resources: Sequence[Resource]) -> list[Row[Any]]:
    """Return every live lease that overlaps with one of `resources`, of any holder and in any mode.

    Raises ComparisonTooLarge.
    """
    rows_by_id: dict[str, Row[Any]] = {}
    budget = ComparisonBudget()
    for resource in resources:
        for row, candidate_resources in CandidateSearch(tx, resource.type, [resource], None).find_leases():
            is_overlapping = partial(_is_overlapping, tx, candidate_resources, budget)
            if any(convert_readable(tx, [row], is_overlapping, rows.record_name)):
                rows_by_id[row.id] = row
            _require_steps(budget)
    return list(rows_by_id.values())


def leases_on_targets(
    tx: Transaction, targets: Targets, agent_id: str | None, *, exclusive_only: bool = False
) -> list[tuple[Row[Any], str]]:
    """Return the live locks of others, exclusive or shared, on `targets`, each with the target that it is on.

    What stands below a file counts, too: where a file or a submodule is put, nothing of it can be.
    At most OBSTACLES_MAX. Names are literal; only `targets.patterns` are compared as patterns. A bounded
    number of indexed reads and comparisons: after COMPARISON_STEPS_MAX every candidate counts as a conflict.
    """
    targets_by_id: dict[str, tuple[Row[Any], str]] = {}
    for row, target in _find_leases_on_targets(tx, targets, agent_id):
        counts = not exclusive_only or row.mode == "exclusive"
        if counts and row.expires_at > tx.now and row.agent_id != agent_id:
            targets_by_id.setdefault(row.id, (row, target))
            if len(targets_by_id) >= OBSTACLES_MAX:
                break
    return list(targets_by_id.values())


def as_obstacle(lease: Lease | Row[Any], wanted: str, *, waiting: bool = False) -> LockObstacle:
    """A lease or, with `waiting`, a waiting request that is in the way of a wanted resource."""
    try:
        return _build_obstacle(lease, wanted, waiting=waiting)
    except MAYBE_DAMAGE_ERRORS as error:
        if isinstance(lease, Lease):
            raise
        raise _damage_error(lease, error) from error


def _damage_error(row: Row[Any], error: Exception) -> Exception:
    """The error for a lease that can't be compared: DamagedRecord, or `error` if the code is at fault."""
    return rows.damaged_lease_error(row, error) if is_damage(error, row) else error


def _is_overlapping(
    tx: Transaction, candidate_resources: Sequence[Resource], budget: ComparisonBudget, row: Row[Any]
) -> bool:
    return row.expires_at > tx.now and any(_find_overlapping(row, candidate_resources, budget))


def _build_obstacle(lease: Lease | Row[Any], wanted: str, *, waiting: bool) -> LockObstacle:
    return LockObstacle(
        wanted=wanted,
        resource_type=lease.resource_type,
        resource=lease.resource,
        holder=lease.agent_id,
        holder_name=lease.agent_name,
        mode=lease.mode,
        expires_at=lease.expires_at,
        waiting=waiting,
        note=lease.note,
        hint=rules.obstacle_hint(lease.agent_name, waiting=waiting),
    )


def _find_leases_on_targets(
    tx: Transaction, targets: Targets, agent_id: str | None
) -> Iterator[tuple[Row[Any], str]]:
    budget = ComparisonBudget()
    files_by_ancestor = _group_by_ancestor(targets.files)
    folders_by_ancestor = _group_by_ancestor(targets.folders)
    for row in _skip_damaged(tx, candidates.leases_on(tx, {*files_by_ancestor, *folders_by_ancestor})):
        for name in files_by_ancestor.get(row.prefix, ()):
            budget.taken += 1
            below = row.prefix == name  # a file where a pattern such as `name/*.py` has a folder
            if below or budget.exhausted or paths.holds(row.resource, name, budget):
                yield row, name
                break
        for name in folders_by_ancestor.get(row.prefix, ()):
            budget.taken += 1
            if budget.exhausted or paths.holds_below(row.resource, name, budget):
                yield row, name
                break
    for name in targets.folders:
        if _is_storable(name):
            for row in _skip_damaged(tx, candidates.leases_below(tx, name, agent_id)):
                yield row, name
    yield from candidates.leases_below_each(
        tx, [name for name in targets.files if _is_storable(name)], agent_id
    )
    for pattern in targets.patterns:
        candidate_rows = CandidateSearch(tx, PATH, [pattern], agent_id).find_leases()
        for row in _skip_damaged(tx, (row for row, _pattern in candidate_rows)):
            budget.taken += 1
            if budget.exhausted or pattern.overlaps(PATH, row.resource, budget):
                yield row, pattern.text


def _skip_damaged(tx: Transaction, lease_rows: Iterable[Row[Any]]) -> Iterator[Row[Any]]:
    """Yield the leases whose resource and time can be read, and note the others as damaged."""
    for row in lease_rows:
        if isinstance(row.resource, str) and isinstance(row.expires_at, datetime):
            yield row
        else:
            note_damage(tx, rows.record_name(row), TypeError("its resource or time can't be read"))


def _group_by_ancestor(names: Iterable[str]) -> dict[str, list[str]]:
    """Group file names by each prefix that a lock on them may have."""
    names_by_ancestor: dict[str, list[str]] = {}
    for name in names:
        for ancestor in paths.ancestors(name)[: PATTERN_SEGMENTS_MAX + 1]:
            if not _is_storable(ancestor):
                break  # no lock has such a prefix
            names_by_ancestor.setdefault(ancestor, []).append(name)
    return names_by_ancestor


def _is_storable(name: str) -> bool:
    """Whether a lock can have this as its prefix, which is always valid Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_overlapping(
    row: Row[Any], candidate_resources: Iterable[Resource], budget: ComparisonBudget
) -> Iterator[Resource]:
    """Yield the resources that overlap with the one of a row; counts the steps."""
    for resource in candidate_resources:
        budget.taken += 1
        if resource.overlaps(row.resource_type, row.resource, budget):
            yield resource


def _list_overlapping(
    candidate_resources: Iterable[Resource], budget: ComparisonBudget, row: Row[Any]
) -> list[Resource]:
    return list(_find_overlapping(row, candidate_resources, budget))


def _require_steps(budget: ComparisonBudget) -> None:
    if budget.exhausted:
        raise ComparisonTooLarge("too many patterns would have to be compared with each other")


def _record_overlap(tx: Transaction, conflict_scan: ConflictScan, overlap: Overlap) -> None:
    """Note a lease as expired, as the agent's own or as a conflict; any other does not matter."""
    row = overlap.row
    if row.expires_at <= tx.now:
        conflict_scan.expired[row.id] = row
    elif row.agent_id == conflict_scan.agent_id:
        if row.resource == overlap.wanted.text:
            conflict_scan.own[overlap.wanted] = row
    elif rules.exclude_each_other(row.mode, conflict_scan.mode):
        conflict_scan.conflicting.append(overlap)
