"""Questions on locks: who holds what, and whether something could be locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, or_, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.leases import conflicts, leasing, literals, resources, rows, rules
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.leases.errors import ComparisonTooLarge, InvalidResource
from repomesh.domains.leases.models import CheckLocks, CheckPaths, Lease, ListLocks, LockCheck
from repomesh.domains.leases.resources import LOCK_TYPES, PATH
from repomesh.domains.leases.tables import LIVE, leases
from repomesh.kernel import file_names
from repomesh.kernel.fields import Page, decode_cursor, encode_cursor
from repomesh.kernel.operation import Get, Post, query
from repomesh.store.damage import convert_readable
from repomesh.store.listing import Listing
from repomesh.store.transaction import Transaction

_ORDER = (leases.c.resource_type, leases.c.prefix, leases.c.id)
# The empty text keeps the types from being looked up one by one: then the rows would have to be sorted.
_LOCKS = leases.c.resource_type.in_(LOCK_TYPES)
_LIVE = select(leases).where(leases.c.workspace_id == bindparam("ws"), LIVE, _LOCKS)
_OF_AGENT = _LIVE.where(leases.c.agent_id == bindparam("agent"))


@query(
    "lock.list",
    http=Get("/v1/locks"),
    scope="locks:read",
    errors=(AgentNotFound, InvalidResource, ComparisonTooLarge),
)
def list_locks(tx: Transaction, request: ListLocks) -> Page[Lease]:
    """List the live locks by path: all, an agent's, those below a folder, or those that may cover a path."""
    agent_id = find_agent(tx, request.agent).id if request.agent is not None else None
    folder = resources.path(request.prefix).prefix if request.prefix is not None else None
    if request.path is not None:
        lease_rows: Sequence[Row[Any]] = conflicts.overlapping_leases(tx, resources.parse(request.path))
        return _sorted_page(tx, request, lease_rows, agent_id, folder)
    params = {"ws": tx.workspace_id, "now": tx.now}
    if agent_id is not None:
        lease_rows = tx.execute(_OF_AGENT, params | {"agent": agent_id}).all()
        return _sorted_page(tx, request, lease_rows, agent_id, folder)
    statement = _LIVE.params(**params)
    if folder is not None:
        statement = statement.where(_folder_condition(folder))
    return Listing(Page[Lease], leasing.as_lease, keys=_ORDER).read(tx, statement, request)


@query(
    "lock.check",
    http=Post("/v1/locks/check"),
    scope="locks:read",
    errors=(InvalidResource, ComparisonTooLarge),
)
def check_locks(tx: Transaction, request: CheckLocks) -> LockCheck:
    """Check whether the caller could lock resources now, without locking them."""
    requested_resources = resources.parse_all(request.resources)
    obstacles = leasing.find_obstacles(tx, requested_resources, request.mode, tx.caller.agent_id)
    return LockCheck(free=not obstacles, conflicts=obstacles)


@query("lock.check_paths", http=Post("/v1/locks/check-paths"), scope="locks:read", errors=(InvalidResource,))
def check_paths(tx: Transaction, request: CheckPaths) -> LockCheck:
    """Check whether other agents have locked files or folders, given by their exact names."""
    targets = Targets(
        files=literals.decode_all(request.paths, "paths"),
        folders=literals.decode_all(request.folders, "folders"),
    )
    obstacles = [
        conflicts.as_obstacle(lease, file_names.encode(target))
        for lease, target in leasing.blocking_locks(tx, targets, tx.caller.agent_id)
        if rules.exclude_each_other(lease.mode, request.mode)
    ]
    return LockCheck(free=not obstacles, conflicts=obstacles)


def _folder_condition(folder: str) -> ColumnElement[bool]:
    """The SQL condition that a lock is on a folder or below it; `''` is the root."""
    prefix = leases.c.prefix
    if not folder:
        return leases.c.resource_type == PATH
    # '0' follows '/' in ASCII. The outer bounds are for the index: between them lies little else.
    inside = or_(prefix == folder, prefix >= folder + "/")
    return and_(leases.c.resource_type == PATH, prefix >= folder, prefix < folder + "0", inside)


def _is_readable(tx: Transaction, row: Row[Any]) -> bool:
    """Whether a lease can be read; one that can't is noted as damaged."""
    return bool(convert_readable(tx, [row], leasing.as_lease, rows.record_name))


def _sorted_page(
    tx: Transaction,
    request: ListLocks,
    lease_rows: Sequence[Row[Any]],
    agent_id: str | None,
    folder: str | None,
) -> Page[Lease]:
    """Filter, sort and page rows in memory: those of one agent or on one path are few."""
    matching_rows = [
        row
        for row in lease_rows
        if _is_readable(tx, row)
        and agent_id in (None, row.agent_id)
        and (folder is None or _lies_within(row, folder))
    ]
    matching_rows.sort(key=_position)
    if request.cursor is not None:
        cursor_position = tuple(map(str, decode_cursor(request.cursor, len(_ORDER))))
        matching_rows = [row for row in matching_rows if _position(row) > cursor_position]
    page_rows = matching_rows[: request.limit]
    return Page[Lease](
        items=[leasing.as_lease(row) for row in page_rows],
        next_cursor=encode_cursor(*_position(page_rows[-1])) if len(matching_rows) > len(page_rows) else None,
    )


def _lies_within(row: Row[Any], folder: str) -> bool:
    inside = not folder or row.prefix == folder or row.prefix.startswith(folder + "/")
    return row.resource_type == PATH and inside


def _position(row: Row[Any]) -> tuple[str, str, str]:
    return row.resource_type, row.prefix, row.id
