"""The one lease: acquired, checked, renewed, ended. Task claims, locks and every other hold are this.

Plain functions on a transaction, for the operations of this domain and of those after it. A lease is live
while it is not ended and `expires_at` lies ahead by the server's clock. One that is past it may be displaced
by any acquirer in the same transaction, and its holder's next write with the old fencing token is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, select

from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.errors import AgentRetired
from repomesh.domains.agents.tables import agents as agent_rows
from repomesh.domains.leases import conflicts, quotas, rows
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.leases.errors import (
    LeaseConflict,
    LeaseExpired,
    LockConflict,
    NotHolder,
    StaleFencingToken,
)
from repomesh.domains.leases.models import (
    LEASE_ACQUIRED,
    LEASE_EXPIRED,
    LEASE_RECLAIMED,
    LEASE_RELEASED,
    LEASE_RENEWED,
    EndedReason,
    Lease,
    LeasesEnded,
    LeasesGranted,
    LockObstacle,
    Mode,
)
from repomesh.domains.leases.paths import ComparisonBudget
from repomesh.domains.leases.resources import LOCK_TYPES, Resource
from repomesh.domains.leases.rows import as_lease, is_live, renew_by_heartbeat, soonest_expiry
from repomesh.kernel.clock import rfc3339
from repomesh.store.damage import convert_readable
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

__all__ = [
    "as_lease",
    "blocking_locks",
    "check",
    "conflict_error",
    "end",
    "find_obstacles",
    "grant",
    "held_by",
    "held_under",
    "is_live",
    "live_lease",
    "live_leases",
    "release",
    "renew",
    "renew_by_heartbeat",
    "soonest_expiry",
]

_PRESENCE = PreparedStatement(
    select(agent_rows.c.status, agent_rows.c.last_seen_at).where(agent_rows.c.id == bindparam("agent"))
)
_ENDINGS: dict[str, str] = {"released": LEASE_RELEASED, "expired": LEASE_EXPIRED}


# -- taking ----------------------------------------------------------------------------------------


def grant(
    tx: Transaction,
    resources: Sequence[Resource],
    *,
    mode: Mode = "exclusive",
    ttl_s: float | None = None,
    note: str = "",
    task_id: str | None = None,
    position: int | None = None,
    max_hold_s: float | None = None,
) -> list[Lease]:
    """Lease all of `resources` to the calling agent, or none; returns the leases in the same order.

    All of them carry one fencing token, higher than any before in the workspace. What the agent holds
    already is extended and keeps its token, unless something else of the request is new or becomes
    exclusive: then all move to the new token. A lease held exclusively stays so when 'shared' is asked for.
    Without `ttl_s` the setting `lease_ttl_s` counts. `position` is the caller's own place in the queue;
    `max_hold_s` how long heartbeats renew a new lease, else the setting of that name.

    Raises LockConflict when a path or named resource stands against it and LeaseConflict otherwise, before
    anything is written; ComparisonTooLarge when that can't be told; TooManyLocks over a quota; AgentRequired
    without an acting agent; AgentRetired for a retired one.
    """
    agent_id = tx.caller.acting_agent()
    conflict_scan = conflicts.scan(tx, resources, mode, agent_id)
    blocking_obstacles = conflicts.obstacles_in(tx, conflict_scan, position)
    if blocking_obstacles:
        raise conflict_error(blocking_obstacles)
    _check_not_retired(tx, agent_id)
    end(tx, [rows.as_lease_leniently(tx, row) for row in conflict_scan.expired.values()], "expired")
    quotas.require_room(tx, [resource for resource in resources if resource not in conflict_scan.own])
    return _write_leases(tx, resources, conflict_scan.own, mode, ttl_s, note, task_id, max_hold_s)


def find_obstacles(
    tx: Transaction,
    resources: Sequence[Resource],
    mode: Mode,
    agent_id: str | None,
    budget: ComparisonBudget | None = None,
) -> list[LockObstacle]:
    """List what prevents leasing `resources` to an agent, or to a new one with None; acquires nothing.

    For several calls in one transaction pass the same `budget`. Raises ComparisonTooLarge.
    """
    return conflicts.obstacles_in(tx, conflicts.scan(tx, resources, mode, agent_id, budget), None)


def conflict_error(obstacles: Sequence[LockObstacle]) -> LeaseConflict:
    """The error that names all `obstacles`: a LockConflict when the first is on a path or named resource."""
    first_obstacle = obstacles[0]
    error = LockConflict if first_obstacle.resource_type in LOCK_TYPES else LeaseConflict
    verb = "waits for" if first_obstacle.waiting else "holds"
    more_part = f", and {len(obstacles) - 1} more" if len(obstacles) > 1 else ""
    return error(
        f"'{first_obstacle.wanted}': {first_obstacle.holder_name} {verb} '{first_obstacle.resource}' until"
        f" {rfc3339(first_obstacle.expires_at)}{more_part}",
        obstacles,
    )


# -- asking ----------------------------------------------------------------------------------------


def check(tx: Transaction, resource: Resource, fencing_token: int) -> Lease:
    """The calling agent's live lease on `resource` with this fencing token.

    Raises StaleFencingToken when somebody else holds it now, LeaseExpired when that lease is over and
    nobody does, NotHolder when the token is another agent's or was never given out for it.
    """
    agent_id = tx.caller.acting_agent()
    past_row = None
    for row in rows.with_token(tx, fencing_token):
        if (row.resource_type, row.resource) != (resource.type, resource.text):
            continue
        if row.agent_id != agent_id:
            raise NotHolder(f"that fencing token for '{resource.text}' is {row.agent_name}'s, not yours")
        if is_live(row, tx.now):
            return as_lease(row)
        past_row = row
    raise _lost_lease_error(tx, resource, fencing_token, past_row)


def held_under(tx: Transaction, fencing_token: int, types: Sequence[str] | None = None) -> list[Lease]:
    """The calling agent's live leases with this fencing token, of all types or only of `types`.

    When there is none, raises the same errors as `check`.
    """
    agent_id = tx.caller.acting_agent()
    token_rows = rows.with_token(tx, fencing_token)
    typed_rows = [row for row in token_rows if types is None or row.resource_type in types]
    own_leases = [as_lease(row) for row in typed_rows if row.agent_id == agent_id and is_live(row, tx.now)]
    if own_leases:
        return own_leases
    if not typed_rows:
        raise NotHolder(f"no lease of yours has the fencing token {fencing_token}")
    if all(row.agent_id != agent_id for row in typed_rows):
        raise NotHolder(f"the fencing token {fencing_token} is {typed_rows[0].agent_name}'s, not yours")
    row = typed_rows[0]
    raise _lost_lease_error(tx, Resource(row.resource_type, row.resource, row.prefix), fencing_token, row)


def live_leases(tx: Transaction, resource: Resource) -> list[Lease]:
    """Every live lease on exactly this resource; several only when they are shared."""
    return [as_lease(row) for row in rows.live_on(tx, resource)]


def blocking_locks(
    tx: Transaction, targets: Targets, agent_id: str | None, *, exclusive_only: bool = False
) -> list[tuple[Lease, str]]:
    """The live locks of others on what is to be written, each with the file, folder or pattern it stands on.

    Shared ones too, since a shared lock protects its holder from writes, but with `exclusive_only`. Takes
    nothing.
    """
    rows_and_targets = conflicts.leases_on_targets(tx, targets, agent_id, exclusive_only=exclusive_only)
    return [
        (lease, target)
        for row, target in rows_and_targets
        for lease in convert_readable(tx, [row], as_lease, rows.record_name)
    ]


def live_lease(tx: Transaction, resource: Resource) -> Lease | None:
    """The live lease on exactly this resource, or the first of several shared ones; None for none."""
    leases_on_resource = live_leases(tx, resource)
    return leases_on_resource[0] if leases_on_resource else None


def held_by(tx: Transaction, agent_id: str) -> list[Lease]:
    """The live leases of an agent, oldest first, without those that can't be read."""
    return convert_readable(tx, rows.live_of(tx, agent_id), as_lease, rows.record_name)


# -- renewing and ending ---------------------------------------------------------------------------


def renew(tx: Transaction, held_leases: Sequence[Lease], ttl_s: float | None = None) -> list[Lease]:
    """Renew leases that `check` or `held_under` returned to `ttl_s` from now, else by their own length.

    The new time may be shorter than what was left, and may go beyond `max_hold_until`, which bounds only
    what heartbeats renew.
    """
    renewed = [
        lease.model_copy(
            update={
                "ttl_s": ttl_s or lease.ttl_s,
                "expires_at": tx.now + timedelta(seconds=ttl_s or lease.ttl_s),
            }
        )
        for lease in held_leases
    ]
    rows.extend(tx, renewed)
    _emit_granted(tx, LEASE_RENEWED, renewed)
    return renewed


def release(tx: Transaction, held_leases: Sequence[Lease]) -> None:
    """End leases that `check` or `held_under` returned, as their holder."""
    end(tx, held_leases, "released")


def end(tx: Transaction, ended_leases: Sequence[Lease], reason: EndedReason, note: str = "") -> None:
    """End leases and emit an event for each fencing token.

    The event is lease.released or lease.expired for these reasons, and lease.reclaimed for all others.
    """
    if not ended_leases:
        return
    rows.end(tx, ended_leases, reason)
    leases_by_token: dict[int, list[Lease]] = {}
    for lease in ended_leases:
        leases_by_token.setdefault(lease.fencing_token, []).append(lease)
    for group in leases_by_token.values():
        first_lease = group[0]
        tx.emit(
            NewEvent(
                _ENDINGS.get(reason, LEASE_RECLAIMED),
                f"lease/{first_lease.id}",
                LeasesEnded(leases=group, reason=reason, note=note),
                severity="info" if reason == "released" else "warning",
                task_id=first_lease.task_id,
                recipient_id=None if reason == "released" else first_lease.agent_id,
            )
        )


# -- parts -----------------------------------------------------------------------------------------


def _lost_lease_error(
    tx: Transaction, resource: Resource, fencing_token: int, past_row: Row[Any] | None
) -> Exception:
    other_rows = [
        row for row in conflicts.overlapping_leases(tx, [resource]) if row.agent_id != tx.caller.agent_id
    ]
    if other_rows and (past_row is not None or fencing_token < other_rows[0].fencing_token):
        holder_row = other_rows[0]
        return StaleFencingToken(
            f"'{resource.text}' is held by '{holder_row.agent_name}' until {rfc3339(holder_row.expires_at)},"
            f" and the fencing token {fencing_token} is an older one",
            holder=holder_row.agent_id,
            holder_name=holder_row.agent_name,
            expires_at=rfc3339(holder_row.expires_at),
        )
    if past_row is not None:
        reason = past_row.ended_reason or "expired"
        at = rfc3339(past_row.ended_at or past_row.expires_at)
        return LeaseExpired(f"the lease on '{resource.text}' is over: {reason} at {at}", reason=reason, at=at)
    return NotHolder(f"you hold no lease on '{resource.text}' with the fencing token {fencing_token}")


def _check_not_retired(tx: Transaction, agent_id: str) -> None:
    """Raise AgentRetired for a retired agent; touch a silent one, or the sweeper would end its new lease."""
    agent = tx.execute(_PRESENCE, {"agent": agent_id}).one()
    if agent.status == "retired":
        raise AgentRetired(f"the agent '{tx.caller.agent_name}' is retired")
    silent_s = (tx.now - agent.last_seen_at).total_seconds()
    if agent.status == "inactive" or silent_s > tx.settings.agent_inactive_after_s / 2:
        agents.touch(tx, agents.find_agent(tx, agent_id), tx.caller.instance_id)


def _write_leases(
    tx: Transaction,
    resources: Sequence[Resource],
    own_rows: dict[Resource, Row[Any]],
    mode: Mode,
    ttl_s: float | None,
    note: str,
    task_id: str | None,
    max_hold_s: float | None,
) -> list[Lease]:
    ttl_s = ttl_s or tx.settings.lease_ttl_s
    tokens = {row.fencing_token for row in own_rows.values()}
    upgraded = mode == "exclusive" and any(row.mode == "shared" for row in own_rows.values())
    only_extends = len(own_rows) == len(resources) and len(tokens) == 1 and not upgraded
    fencing_token = tokens.pop() if only_extends else tx.next_fencing_token()
    expires_at = tx.now + timedelta(seconds=ttl_s)
    new_values = {"fencing_token": fencing_token, "ttl_s": ttl_s}
    granted_leases: list[Lease] = []
    for resource in resources:
        if (row := own_rows.get(resource)) is None:
            granted_leases.append(
                _new_lease(tx, resource, mode, fencing_token, ttl_s, note, task_id, max_hold_s)
            )
            continue
        extension = {
            "mode": "exclusive" if "exclusive" in (mode, row.mode) else "shared",
            "expires_at": max(row.expires_at, expires_at),
            "note": note or row.note,
            "task_id": task_id or row.task_id,
        }
        granted_leases.append(as_lease(row).model_copy(update=new_values | extension))
    own_ids = {row.id for row in own_rows.values()}
    rows.extend(tx, [lease for lease in granted_leases if lease.id in own_ids])
    rows.add(tx, resources, [lease for lease in granted_leases if lease.id not in own_ids])
    _emit_granted(tx, LEASE_RENEWED if only_extends else LEASE_ACQUIRED, granted_leases)
    return granted_leases


def _new_lease(
    tx: Transaction,
    resource: Resource,
    mode: Mode,
    fencing_token: int,
    ttl_s: float,
    note: str,
    task_id: str | None,
    max_hold_s: float | None,
) -> Lease:
    return Lease(
        id=tx.new_id(),
        resource_type=resource.type,
        resource=resource.text,
        mode=mode,
        agent_id=tx.caller.acting_agent(),
        agent_name=tx.caller.agent_name or "",
        fencing_token=fencing_token,
        task_id=task_id,
        note=note,
        ttl_s=ttl_s,
        acquired_at=tx.now,
        expires_at=tx.now + timedelta(seconds=ttl_s),
        max_hold_until=tx.now + timedelta(seconds=max_hold_s or tx.settings.max_hold_s),
    )


def _emit_granted(tx: Transaction, type_: str, granted_leases: Sequence[Lease]) -> None:
    first_lease = granted_leases[0]
    data = LeasesGranted(leases=list(granted_leases))
    tx.emit(NewEvent(type_, f"lease/{first_lease.id}", data, task_id=first_lease.task_id))
