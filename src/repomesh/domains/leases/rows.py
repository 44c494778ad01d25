"""Rows of leases: how they are found, made and changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, case, func, insert, select, type_coerce, update

from repomesh.domains.leases.models import AUTO_LOCK_NOTE, EndedReason, Lease
from repomesh.domains.leases.prefilter import traits
from repomesh.domains.leases.resources import Resource
from repomesh.domains.leases.tables import LIVE, leases, unindexed_expiry
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp, microseconds

UNTOLD = ""
"""In the column `lost`: its holder was not told yet."""

_LIVE = leases.c.workspace_id == bindparam("ws"), LIVE
_MINE = (*_LIVE, leases.c.agent_id == bindparam("agent"))
_OF_TOKEN = Prepared(
    select(leases).where(
        leases.c.workspace_id == bindparam("ws"), leases.c.fencing_token == bindparam("fencing_token")
    )
)
_HELD_BY = Prepared(select(leases).where(*_MINE).order_by(leases.c.id))
_SOONEST = Prepared(select(func.min(unindexed_expiry)).where(*_MINE))
_ON = Prepared(
    select(leases).where(
        *_LIVE,
        leases.c.resource_type == bindparam("type"),
        leases.c.prefix == bindparam("prefix"),
        leases.c.resource == bindparam("resource"),
    )
)
_ADD = Prepared(insert(leases))
_ONE = update(leases).where(leases.c.id == bindparam("lease_id"))
_EXTEND = Prepared(
    _ONE.values(
        mode=bindparam("new_mode"),
        fencing_token=bindparam("new_token"),
        note=bindparam("new_note"),
        task_id=bindparam("new_task_id"),
        ttl_us=bindparam("new_ttl_us"),
        expires_at=bindparam("new_expires_at"),
        token_id=bindparam("new_token_id"),
        instance_id=bindparam("new_instance_id"),
    )
)
_END = Prepared(
    _ONE.where(leases.c.ended_at.is_(None)).values(
        ended_at=bindparam("now"), ended_reason=bindparam("reason"), lost=bindparam("new_lost")
    )
)
# A heartbeat renews each lease by its own length, but not beyond its longest hold.
_FULL = bindparam("now_us", type_=BigInteger) + leases.c.ttl_us
_BOUND = type_coerce(leases.c.max_hold_until, BigInteger)
_RENEWED = case((_BOUND < _FULL, _BOUND), else_=_FULL)
_RENEW_ALL = Prepared(
    update(leases)
    .where(*_MINE, type_coerce(leases.c.expires_at, BigInteger) < _RENEWED)
    .values(expires_at=type_coerce(_RENEWED, Timestamp()))
)


def is_live(row: Row[Any], now: datetime) -> bool:
    """Whether the lease in a row of the table still holds."""
    return row.ended_at is None and row.expires_at > now


def as_lease(row: Row[Any]) -> Lease:
    """The lease in a row of the table."""
    return Lease(
        id=row.id,
        resource_type=row.resource_type,
        resource=row.resource,
        mode=row.mode,
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        fencing_token=row.fencing_token,
        task_id=row.task_id,
        note=row.note,
        ttl_s=row.ttl_us / 1_000_000,
        acquired_at=row.acquired_at,
        expires_at=row.expires_at,
        max_hold_until=row.max_hold_until,
    )


def with_token(tx: Transaction, fencing_token: int) -> Sequence[Row[Any]]:
    """Every lease with this fencing token, also those that are over."""
    return tx.execute(_OF_TOKEN, {"ws": tx.workspace_id, "fencing_token": fencing_token}).all()


def live_on(tx: Transaction, resource: Resource) -> Sequence[Row[Any]]:
    """The live leases on exactly this resource."""
    key = {"type": resource.type, "prefix": resource.prefix, "resource": resource.text}
    return tx.execute(_ON, {"ws": tx.workspace_id, "now": tx.now} | key).all()


def live_of(tx: Transaction, agent_id: str) -> Sequence[Row[Any]]:
    """The live leases of an agent, oldest first."""
    return tx.execute(_HELD_BY, {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}).all()


def soonest_expiry(tx: Transaction, agent_id: str) -> datetime | None:
    """When the first of an agent's live leases expires; None when it holds nothing."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}
    expiry: datetime | None = tx.execute(_SOONEST, key).scalar_one()
    return expiry


def add(tx: Transaction, resources: Sequence[Resource], new: Sequence[Lease]) -> None:
    """Make the rows of new leases on `resources`, held under the caller's token."""
    prefixes = {(resource.type, resource.text): resource.prefix for resource in resources}
    rows = []
    for lease in new:
        row = lease.model_dump(exclude={"ttl_s"})
        row["workspace_id"] = tx.workspace_id
        row["prefix"] = prefixes[lease.resource_type, lease.resource]
        row |= traits(lease.resource_type, lease.resource, row["prefix"])
        row["instance_id"] = tx.caller.instance_id
        row["token_id"] = tx.caller.token_id
        row["ttl_us"] = round(lease.ttl_s * 1_000_000)
        rows.append(row)
    if rows:
        tx.execute(_ADD, rows)


def extend(tx: Transaction, extended: Sequence[Lease]) -> None:
    """Write what may change in leases that go on, which from now on are held under the caller's token."""
    rows = [
        {
            "lease_id": lease.id,
            "new_mode": lease.mode,
            "new_token": lease.fencing_token,
            "new_note": lease.note,
            "new_task_id": lease.task_id,
            "new_ttl_us": round(lease.ttl_s * 1_000_000),
            "new_expires_at": lease.expires_at,
            "new_token_id": tx.caller.token_id,
            "new_instance_id": tx.caller.instance_id,
        }
        for lease in extended
    ]
    if rows:
        tx.execute(_EXTEND, rows)


def renew_all(tx: Transaction, agent_id: str) -> None:
    """Renew every live lease of an agent that was heard of, each by its own length from now.

    Never beyond `max_hold_until`, never to an earlier time than before, and without an event.
    """
    now = {"now": tx.now, "now_us": microseconds(tx.now)}
    tx.execute(_RENEW_ALL, {"ws": tx.workspace_id, "agent": agent_id} | now)


def end(tx: Transaction, ended: Sequence[Lease], reason: EndedReason) -> None:
    """Mark leases as over; what its holder did not give back is to be told to it."""
    rows = [{"lease_id": lease.id, "now": tx.now, "reason": reason} for lease in ended]
    lost = [UNTOLD if reason != "released" and lease.note != AUTO_LOCK_NOTE else None for lease in ended]
    tx.execute(_END, [row | {"new_lost": mark} for row, mark in zip(rows, lost, strict=True)])
