"""Operations on locks: acquire, renew, release, take away; and giving back what is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_

from repomesh.domains.agents.errors import AgentNotFound, AgentRetired
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.leases import conflicts, leasing, resources, rows, waiting
from repomesh.domains.leases.conflicts import OBSTACLES_MAX
from repomesh.domains.leases.errors import (
    ComparisonTooLarge,
    InvalidResource,
    LeaseExpired,
    LockConflict,
    LockNotFound,
    NotHolder,
    StaleFencingToken,
    TooManyLocks,
)
from repomesh.domains.leases.models import (
    LEASE_EXPIRED,
    LEASE_RECLAIMED,
    LEASE_RELEASED,
    LOCK_WAIT_ABANDONED,
    AcquiredLocks,
    AcquireLocks,
    ForcedLocks,
    ForceReleaseLocks,
    GaveUpWaiting,
    HeldLock,
    Lease,
    QueuedAcquireLocks,
    QueuedLocks,
    ReleasedLocks,
    ReleaseLocks,
    RenewLocks,
)
from repomesh.domains.leases.resources import LOCK_TYPES, Resource
from repomesh.domains.leases.tables import leases
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.operation import Post, Tool, WaitRule, command
from repomesh.store.transaction import Transaction


def _timeout_error(gave_up: GaveUpWaiting) -> LockConflict:
    if gave_up.obstacles:
        conflict = leasing.conflict_error(gave_up.obstacles)
        return LockConflict(f"{conflict.message}; waited {gave_up.wait_s:g} s", gave_up.obstacles)
    return LockConflict(f"waited {gave_up.wait_s:g} s; it became free this very moment, so ask again")


@command(
    "lock.acquire",
    http=Post("/v1/locks/acquire"),
    tool=Tool(
        "acquire_locks",
        "Lock files before you edit them; all or none. A conflict says who holds what until when.",
        fields=("resources", "mode", "wait_s", "note"),
    ),
    scope="locks:write",
    errors=(LockConflict, InvalidResource, AgentRetired, TooManyLocks, ComparisonTooLarge),
    needs_agent=True,
    blocking=WaitRule(
        seconds=lambda request: request.wait_s,
        events=frozenset({LEASE_RELEASED, LEASE_EXPIRED, LEASE_RECLAIMED, LOCK_WAIT_ABANDONED}),
        done=lambda result: not isinstance(result, QueuedLocks),
        next_request=lambda request, queued: QueuedAcquireLocks(
            **request.model_dump(exclude={"wait_id"}), wait_id=queued.wait_id
        ),
        give_up="lock.give_up",
        timeout_error=_timeout_error,
    ),
)
def acquire_locks(tx: Transaction, request: AcquireLocks) -> AcquiredLocks:
    """Lock paths, globs or named resources for the calling agent, all of them or none.

    A path is a file, or a folder with everything below it; braces stand for several paths. Two patterns
    conflict when some path, existing or not, could match both. Locks that the agent holds already are
    extended. With `wait_s` the request queues behind earlier requests, and returns as soon as it is granted.
    All locks of a request carry one fencing token, higher than any before.
    """
    requested_resources = resources.parse_all(request.resources)
    place = waiting.find(tx, request, requested_resources) if request.wait_s else None
    try:
        granted = leasing.grant(
            tx,
            requested_resources,
            mode=request.mode,
            ttl_s=request.ttl_s,
            note=request.note,
            position=place.position if place else None,
        )
    except LockConflict as conflict:
        if not request.wait_s:
            raise
        wait = waiting.join(tx, request, requested_resources, place, conflict.obstacles)
        return QueuedLocks(locks=[], fencing_token=0, expires_at=wait.until, wait_id=wait.id)
    if place is not None:
        waiting.leave(tx, place, "granted")
    return _as_acquired(granted)


@command("lock.give_up", scope="locks:write", needs_agent=True)
def give_up(tx: Transaction, request: AcquireLocks) -> GaveUpWaiting:
    """Leave the queue for locks. Returns the conflicts that remain."""
    requested_resources = resources.parse_all(request.resources)
    place = waiting.find(tx, request, requested_resources)
    position = None
    if place is not None:
        waiting.leave(tx, place, "gave_up")
        position = place.position
    agent_id = tx.caller.acting_agent()
    conflict_scan = conflicts.scan(tx, requested_resources, request.mode, agent_id)
    return GaveUpWaiting(wait_s=request.wait_s, obstacles=conflicts.obstacles_in(tx, conflict_scan, position))


@command(
    "lock.renew",
    http=Post("/v1/locks/renew"),
    scope="locks:write",
    errors=(StaleFencingToken, LeaseExpired, NotHolder, InvalidResource),
    needs_agent=True,
)
def renew_locks(tx: Transaction, request: RenewLocks) -> AcquiredLocks:
    """Extend the locks of a fencing token: all that are left, or those on some resources."""
    requested_resources = resources.parse_all(request.resources)
    if requested_resources:
        held_leases = [leasing.check(tx, resource, request.fencing_token) for resource in requested_resources]
    else:
        held_leases = leasing.held_under(tx, request.fencing_token, LOCK_TYPES)
    return _as_acquired(leasing.renew(tx, held_leases, request.ttl_s))


@command(
    "lock.release",
    http=Post("/v1/locks/release"),
    tool=Tool(
        "release_locks",
        "Give locks back when your edits are done.",
        fields=("fencing_token", "resources"),
    ),
    scope="locks:write",
    errors=(StaleFencingToken, LeaseExpired, NotHolder, InvalidResource, ComparisonTooLarge),
    needs_agent=True,
)
def release_locks(tx: Transaction, request: ReleaseLocks) -> ReleasedLocks:
    """Release locks: all with a fencing token, those on some resources, or those that fit both.

    Refused when the agent holds none of them any more. Otherwise the answer names the resources that the
    agent did not hold.
    """
    requested_resources = resources.parse_all(request.resources)
    if not requested_resources:
        assert request.fencing_token is not None
        held_leases = leasing.held_under(tx, request.fencing_token, LOCK_TYPES)
        return _release(tx, held_leases, [])
    held_leases, missing_resources = [], []
    for resource in requested_resources:
        own_leases = _find_own_leases(tx, resource, request.fencing_token) or _find_own_folder_leases(
            tx, resource, request.fencing_token
        )
        held_leases += own_leases
        missing_resources += [] if own_leases else [resource]
    if not held_leases:
        raise _not_holder_error(tx, missing_resources[0], request.fencing_token)
    return _release(tx, held_leases, [resource.text for resource in missing_resources])


@command(
    "lock.force_release",
    http=Post("/v1/locks/force-release"),
    scope="locks:admin",
    errors=(LockNotFound, AgentNotFound, InvalidResource),
)
def force_release_locks(tx: Transaction, request: ForceReleaseLocks) -> ForcedLocks:
    """Take locks away from their holders. The event shows each holder who did so and why.

    The holder's next write with its fencing token is refused.
    """
    live_leases = _select_leases(tx, request)
    if not live_leases:
        raise LockNotFound("no live lock fits the request")
    leasing.end(tx, live_leases, "forced", request.reason)
    return ForcedLocks(locks=live_leases)


def _as_acquired(held_leases: Sequence[Lease]) -> AcquiredLocks:
    return AcquiredLocks(
        locks=[_as_held_lock(lease) for lease in held_leases],
        fencing_token=max(lease.fencing_token for lease in held_leases),
        expires_at=min(lease.expires_at for lease in held_leases),
    )


def _as_held_lock(lease: Lease) -> HeldLock:
    return HeldLock(
        id=lease.id,
        resource=lease.resource,
        mode=lease.mode,
        fencing_token=lease.fencing_token,
        expires_at=lease.expires_at,
    )


def _release(tx: Transaction, held_leases: Sequence[Lease], missing_texts: list[str]) -> ReleasedLocks:
    leasing.end(tx, held_leases, "released")
    return ReleasedLocks(locks=[_as_held_lock(lease) for lease in held_leases], not_held=missing_texts)


def _find_own_leases(tx: Transaction, resource: Resource, fencing_token: int | None) -> list[Lease]:
    return [
        lease
        for lease in leasing.live_leases(tx, resource)
        if lease.agent_id == tx.caller.agent_id and fencing_token in (None, lease.fencing_token)
    ]


def _find_own_folder_leases(tx: Transaction, resource: Resource, fencing_token: int | None) -> list[Lease]:
    """The caller's leases on the same folder in its other spelling: 'src' and 'src/**' hold the same."""
    if resource.type != resources.PATH:
        return []
    if resource.text == f"{resource.prefix}/**":
        other_spelling = resource.prefix
    elif not resource.is_pattern:
        other_spelling = f"{resource.text}/"
    else:
        return []
    try:
        other_resource = resources.path(other_spelling)
    except InvalidResource:  # too long with what is added
        return []
    return _find_own_leases(tx, other_resource, fencing_token)


def _not_holder_error(tx: Transaction, resource: Resource, fencing_token: int | None) -> NotHolder:
    if fencing_token is not None:
        leasing.check(tx, resource, fencing_token)  # raises the more precise error
    overlapping_rows = conflicts.overlapping_leases(tx, [resource])
    holders = [
        f"'{row.agent_name}' holds '{row.resource}'"
        if row.agent_id != tx.caller.agent_id
        else f"you hold '{row.resource}'"
        for row in overlapping_rows[:OBSTACLES_MAX]
    ]
    return NotHolder(f"you hold no lock on '{resource.text}'; {', '.join(holders) or 'nobody does'}")


def _select_leases(tx: Transaction, request: ForceReleaseLocks) -> list[Lease]:
    """The live locks that fit everything that the request names; and damaged ones, live or not."""
    agent_id = find_agent(tx, request.agent).id if request.agent is not None else None
    table = leases.c
    if request.resources:
        requested_resources = resources.parse_all(request.resources)
        conditions = [
            and_(table.resource_type == resource.type, table.resource == resource.text)
            for resource in requested_resources
        ]
    elif request.fencing_token is not None:
        conditions = [table.fencing_token == request.fencing_token]
    else:
        conditions = [table.agent_id == agent_id]
    return [
        lease
        for row in rows.open_among(tx, conditions)
        if agent_id in (None, row.agent_id) and request.fencing_token in (None, row.fencing_token)
        if (lease := _as_lock_to_end(tx, row)) is not None
    ]


def _as_lock_to_end(tx: Transaction, row: Row[Any]) -> Lease | None:
    """The lock in a row, if it is live or can't be read; None otherwise, and for what is no lock."""
    if row.resource_type not in LOCK_TYPES and isinstance(row.resource_type, str):
        return None
    try:
        lease = rows.as_lease(row)
    except DamagedRecord:
        return rows.as_lease_leniently(tx, row)
    return lease if rows.is_live(row, tx.now) else None
