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


def _wait_timed_out(given_up: GaveUpWaiting) -> LockConflict:
    if given_up.obstacles:
        refused = leasing.conflict_error(given_up.obstacles)
        return LockConflict(f"{refused.message}; waited {given_up.wait_s:g} s", given_up.obstacles)
    return LockConflict(f"waited {given_up.wait_s:g} s; it became free this very moment, so ask again")


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
        again=lambda request, queued: QueuedAcquireLocks(
            **request.model_dump(exclude={"wait_id"}), wait_id=queued.wait_id
        ),
        give_up="lock.give_up",
        refusal=_wait_timed_out,
    ),
)
def acquire_locks(tx: Transaction, request: AcquireLocks) -> AcquiredLocks:
    """Lock paths, globs or named resources for the calling agent, all of them or none.

    A path is a file, or a folder with everything below; braces stand for several. Two patterns conflict when
    some path, existing or not, could match both. What the agent holds already is
    extended. With `wait_s` the request queues behind those who asked before it, and answers as soon as it is
    granted. All locks of a request carry one fencing token, higher than any before.
    """
    wanted = resources.parse_all(request.resources)
    place = waiting.find(tx, request, wanted) if request.wait_s else None
    try:
        granted = leasing.grant(
            tx,
            wanted,
            mode=request.mode,
            ttl_s=request.ttl_s,
            note=request.note,
            position=place.position if place else None,
        )
    except LockConflict as conflict:
        if not request.wait_s:
            raise
        wait = waiting.join(tx, request, wanted, place, conflict.obstacles)
        return QueuedLocks(locks=[], fencing_token=0, expires_at=wait.until, wait_id=wait.id)
    if place is not None:
        waiting.leave(tx, place, "granted")
    return _acquired(granted)


@command("lock.give_up", scope="locks:write", needs_agent=True)
def give_up(tx: Transaction, request: AcquireLocks) -> GaveUpWaiting:
    """Leave the queue; answers what stands against the request still."""
    wanted = resources.parse_all(request.resources)
    place = waiting.find(tx, request, wanted)
    position = None
    if place is not None:
        waiting.leave(tx, place, "gave_up")
        position = place.position
    agent_id = tx.caller.acting_agent()
    found = conflicts.scan(tx, wanted, request.mode, agent_id)
    return GaveUpWaiting(wait_s=request.wait_s, obstacles=conflicts.obstacles(tx, found, position))


@command(
    "lock.renew",
    http=Post("/v1/locks/renew"),
    scope="locks:write",
    errors=(StaleFencingToken, LeaseExpired, NotHolder, InvalidResource),
    needs_agent=True,
)
def renew_locks(tx: Transaction, request: RenewLocks) -> AcquiredLocks:
    """Hold the locks of a fencing token for longer: all that are left, or those on some resources."""
    wanted = resources.parse_all(request.resources)
    if wanted:
        held = [leasing.check(tx, resource, request.fencing_token) for resource in wanted]
    else:
        held = leasing.held_under(tx, request.fencing_token, LOCK_TYPES)
    return _acquired(leasing.renew(tx, held, request.ttl_s))


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
    """Give locks back: all with a fencing token, those on some resources, or those that fit both.

    Refused when nothing of it is held any more; what else was not held is named in the answer.
    """
    wanted = resources.parse_all(request.resources)
    if not wanted:
        assert request.fencing_token is not None
        held = leasing.held_under(tx, request.fencing_token, LOCK_TYPES)
        return _release(tx, held, [])
    held, missing = [], []
    for resource in wanted:
        mine = _mine(tx, resource, request.fencing_token) or _mine_of_folder(
            tx, resource, request.fencing_token
        )
        held += mine
        missing += [] if mine else [resource]
    if not held:
        raise _not_held(tx, missing[0], request.fencing_token)
    return _release(tx, held, [resource.text for resource in missing])


@command(
    "lock.force_release",
    http=Post("/v1/locks/force-release"),
    scope="locks:admin",
    errors=(LockNotFound, AgentNotFound, InvalidResource),
)
def force_release_locks(tx: Transaction, request: ForceReleaseLocks) -> ForcedLocks:
    """Take locks away from whoever holds them. The event tells the holder who did it and why.

    The holder's next write with its fencing token is refused.
    """
    held = _chosen(tx, request)
    if not held:
        raise LockNotFound("no live lock fits the request")
    leasing.end(tx, held, "forced", request.reason)
    return ForcedLocks(locks=held)


def _acquired(held: Sequence[Lease]) -> AcquiredLocks:
    return AcquiredLocks(
        locks=[_held_lock(lease) for lease in held],
        fencing_token=max(lease.fencing_token for lease in held),
        expires_at=min(lease.expires_at for lease in held),
    )


def _held_lock(lease: Lease) -> HeldLock:
    return HeldLock(
        id=lease.id,
        resource=lease.resource,
        mode=lease.mode,
        fencing_token=lease.fencing_token,
        expires_at=lease.expires_at,
    )


def _release(tx: Transaction, held: Sequence[Lease], missing: list[str]) -> ReleasedLocks:
    leasing.end(tx, held, "released")
    return ReleasedLocks(locks=[_held_lock(lease) for lease in held], not_held=missing)


def _mine(tx: Transaction, resource: Resource, fencing_token: int | None) -> list[Lease]:
    return [
        lease
        for lease in leasing.live_leases(tx, resource)
        if lease.agent_id == tx.caller.agent_id and fencing_token in (None, lease.fencing_token)
    ]


def _mine_of_folder(tx: Transaction, resource: Resource, fencing_token: int | None) -> list[Lease]:
    """What the caller holds of the same folder in its other spelling: 'src' and 'src/**' hold the same."""
    if resource.type != resources.PATH:
        return []
    if resource.text == f"{resource.prefix}/**":
        other = resource.prefix
    elif not resource.is_pattern:
        other = f"{resource.text}/"
    else:
        return []
    try:
        spelled = resources.path(other)
    except InvalidResource:  # too long with what is added
        return []
    return _mine(tx, spelled, fencing_token)


def _not_held(tx: Transaction, resource: Resource, fencing_token: int | None) -> NotHolder:
    if fencing_token is not None:
        leasing.check(tx, resource, fencing_token)  # knows better what became of it
    standing = conflicts.holders_of(tx, [resource])
    holders = [
        f"'{row.agent_name}' holds '{row.resource}'"
        if row.agent_id != tx.caller.agent_id
        else f"you hold '{row.resource}'"
        for row in standing[:OBSTACLES_MAX]
    ]
    return NotHolder(f"you hold no lock on '{resource.text}'; {', '.join(holders) or 'nobody does'}")


def _chosen(tx: Transaction, request: ForceReleaseLocks) -> list[Lease]:
    """The live locks that fit everything that the request names; and damaged ones, live or not."""
    agent_id = find_agent(tx, request.agent).id if request.agent is not None else None
    table = leases.c
    if request.resources:
        wanted = resources.parse_all(request.resources)
        named = [and_(table.resource_type == one.type, table.resource == one.text) for one in wanted]
    elif request.fencing_token is not None:
        named = [table.fencing_token == request.fencing_token]
    else:
        named = [table.agent_id == agent_id]
    return [
        lease
        for row in rows.open_among(tx, named)
        if agent_id in (None, row.agent_id) and request.fencing_token in (None, row.fencing_token)
        if (lease := _to_take_away(tx, row)) is not None
    ]


def _to_take_away(tx: Transaction, row: Row[Any]) -> Lease | None:
    """The lock in a row, if it is live or can't be read; None otherwise, and for what is no lock."""
    if row.resource_type not in LOCK_TYPES and isinstance(row.resource_type, str):
        return None
    try:
        lease = rows.as_lease(row)
    except DamagedRecord:
        return rows.to_end(tx, row)
    return lease if rows.is_live(row, tx.now) else None
