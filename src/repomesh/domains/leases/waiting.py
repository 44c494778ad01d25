"""The queue for locks: a row for each resource of a waiting request keeps its place, also over a restart.

Whoever asked first is served first where two requests exclude each other. A place is void from the time
until which its request waits; the sweeper then wakes the requests behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from repomesh.domains.leases import quotas
from repomesh.domains.leases.models import (
    LOCK_WAIT_ABANDONED,
    LOCK_WAIT_GRANTED,
    LOCK_WAIT_STARTED,
    AcquireLocks,
    LockObstacle,
    LockWait,
    LockWaitEnded,
    LockWaitStarted,
    Mode,
    QueuedAcquireLocks,
    WaitEndReason,
)
from repomesh.domains.leases.prefilter import prefilter_columns
from repomesh.domains.leases.resources import Resource
from repomesh.domains.leases.tables import lock_waiters
from repomesh.kernel import limits
from repomesh.kernel.operation import Due
from repomesh.store.damage import DAMAGE_ERRORS, note_damage
from repomesh.store.due import due_at
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_IN_WORKSPACE = lock_waiters.c.workspace_id == bindparam("ws")
_BY_ID = select(lock_waiters).where(_IN_WORKSPACE, lock_waiters.c.id == bindparam("wait_id"))
_BY_REQUEST = select(lock_waiters).where(
    _IN_WORKSPACE,
    lock_waiters.c.agent_id == bindparam("agent"),
    lock_waiters.c.request_hash == bindparam("request"),
)
_PAST = (
    select(lock_waiters)
    .where(_IN_WORKSPACE, lock_waiters.c.expires_at <= bindparam("now"))
    .order_by(lock_waiters.c.id)
    .limit(bindparam("count"))
)
DUE = (Due(lambda _: due_at(lock_waiters.c.workspace_id, lock_waiters.c.expires_at)),)
"""What `expire` ends."""
_JOIN = insert(lock_waiters)
_PROLONG = (
    update(lock_waiters)
    .where(lock_waiters.c.id == bindparam("wait_id"))
    .values(expires_at=bindparam("until"))
)
_LEAVE = delete(lock_waiters).where(lock_waiters.c.id == bindparam("wait_id"))


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A place in the queue; whoever has a lower position goes first."""

    position: int
    wait: LockWait


def find(tx: Transaction, request: AcquireLocks, resources: Sequence[Resource]) -> QueuePlace | None:
    """The calling agent's place for this request: from an earlier attempt, or from before a restart."""
    if isinstance(request, QueuedAcquireLocks):
        rows = tx.execute(_BY_ID, {"ws": tx.workspace_id, "wait_id": request.wait_id}).all()
    else:
        key = {"agent": tx.caller.acting_agent(), "request": _hash_request(resources, request.mode)}
        request_rows = tx.execute(_BY_REQUEST, {"ws": tx.workspace_id} | key)
        rows = [row for row in request_rows if row.expires_at > tx.now]
    return _places(rows)[0] if rows else None


def join(
    tx: Transaction,
    request: AcquireLocks,
    resources: Sequence[Resource],
    place: QueuePlace | None,
    obstacles: Sequence[LockObstacle],
) -> LockWait:
    """Queue for `resources`, or keep the place that the request has; returns the wait.

    A request that was sent again, after a restart, keeps its place and waits for its new time. Raises
    TooManyLocks when the agent waits for too many already.
    """
    until = tx.now + timedelta(seconds=request.wait_s)
    if place is None:
        quotas.require_queue_room(tx, resources)
        return _enter_queue(tx, request, resources, until, obstacles)
    if isinstance(request, QueuedAcquireLocks):
        return place.wait
    tx.execute(_PROLONG, {"wait_id": place.wait.id, "until": until})
    return place.wait.model_copy(update={"until": until})


def leave(tx: Transaction, place: QueuePlace, reason: WaitEndReason) -> None:
    """Give a place up. An abandoned place wakes the requests behind it, a granted one does not."""
    tx.execute(_LEAVE, {"wait_id": place.wait.id})
    ended = LockWaitEnded(wait=place.wait, reason=reason)
    type_ = LOCK_WAIT_GRANTED if reason == "granted" else LOCK_WAIT_ABANDONED
    tx.emit(NewEvent(type_, f"wait/{place.wait.id}", ended, actor=place.wait.agent_id))


def expire(tx: Transaction) -> int:
    """End the waits whose time is over; returns how many."""
    params = {"ws": tx.workspace_id, "now": tx.now, "count": limits.LEASES_RECLAIMED_MAX}
    past_rows = tx.execute(_PAST, params).all()
    rows_by_id: dict[str, list[Row[Any]]] = {}
    for row in past_rows:
        rows_by_id.setdefault(row.id, []).append(row)
    for id_, wait_rows in rows_by_id.items():
        try:
            [place] = _places(wait_rows)
        except DAMAGE_ERRORS as error:
            note_damage(tx, f"wait/{id_}", error)
            tx.execute(_LEAVE, {"wait_id": id_})
        else:
            leave(tx, place, "expired")
    return len(rows_by_id)


def _enter_queue(
    tx: Transaction,
    request: AcquireLocks,
    resources: Sequence[Resource],
    until: datetime,
    obstacles: Sequence[LockObstacle],
) -> LockWait:
    wait = LockWait(
        id=tx.new_id(),
        agent_id=tx.caller.acting_agent(),
        agent_name=tx.caller.agent_name or "",
        resources=[resource.text for resource in resources],
        mode=request.mode,
        note=request.note,
        since=tx.now,
        until=until,
    )
    shared_columns = {
        "workspace_id": tx.workspace_id,
        "id": wait.id,
        # The workspace's one counter that only grows orders the queue, too.
        "position": tx.next_fencing_token(),
        "request_hash": _hash_request(resources, request.mode),
        "agent_id": wait.agent_id,
        "agent_name": wait.agent_name,
        "mode": wait.mode,
        "note": wait.note,
        "since": wait.since,
        "expires_at": until,
    }
    rows = [
        shared_columns
        | {
            "ordinal": ordinal,
            "resource_type": resource.type,
            "resource": resource.text,
            "prefix": resource.prefix,
        }
        | prefilter_columns(resource.type, resource.text, resource.prefix)
        for ordinal, resource in enumerate(resources)
    ]
    tx.execute(_JOIN, rows)
    started = LockWaitStarted(wait=wait, obstacles=list(obstacles))
    tx.emit(NewEvent(LOCK_WAIT_STARTED, f"wait/{wait.id}", started, recipient_id=obstacles[0].holder))
    return wait


def _places(rows: Sequence[Row[Any]]) -> list[QueuePlace]:
    rows_by_id: dict[str, list[Row[Any]]] = {}
    for row in sorted(rows, key=lambda row: row.ordinal):
        rows_by_id.setdefault(row.id, []).append(row)
    places = []
    for id_, wait_rows in rows_by_id.items():
        first_row = wait_rows[0]
        wait = LockWait(
            id=id_,
            agent_id=first_row.agent_id,
            agent_name=first_row.agent_name,
            resources=[row.resource for row in wait_rows],
            mode=first_row.mode,
            note=first_row.note,
            since=first_row.since,
            until=first_row.expires_at,
        )
        places.append(QueuePlace(first_row.position, wait))
    return places


def _hash_request(resources: Sequence[Resource], mode: Mode) -> str:
    """Return a hash that is the same for requests with the same mode and resources, in any order."""
    lines = sorted(f"{resource.type} {resource.text}" for resource in resources)
    return hashlib.sha256("\n".join([mode, *lines]).encode()).hexdigest()
