"""Rows of leases: how they are found, made and changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from repomesh.domains.leases.models import AUTO_LOCK_NOTE, EndedReason, Lease
from repomesh.domains.leases.prefilter import prefilter_columns
from repomesh.domains.leases.resources import Resource
from repomesh.domains.leases.tables import LIVE, OPEN, leases, unindexed_expiry
from repomesh.kernel.errors import DamagedRecord
from repomesh.store.damage import MAYBE_DAMAGE_ERRORS, is_damage, note_damage
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp, Unreadable, microseconds

UNREADABLE_TEXT = "?"
"""Replaces a text that can't be read in a lease that is ended."""
NOBODY = "00000000-0000-0000-0000-000000000000"
"""Replaces the id of its holder in the same way."""
_HINT = (
    "Nothing can be locked beside it until it is gone. The workspace's owner ends it: "
    "'repomesh lock force-release {} --reason damaged'."
)
UNREPORTED = ""
"""In the column `lost`: the loss was not reported to the holder yet."""

_LIVE = leases.c.workspace_id == bindparam("ws"), LIVE
_MINE = (*_LIVE, leases.c.agent_id == bindparam("agent"))
_OF_TOKEN = PreparedStatement(
    select(leases).where(
        leases.c.workspace_id == bindparam("ws"), leases.c.fencing_token == bindparam("fencing_token")
    )
)
_HELD_BY = PreparedStatement(select(leases).where(*_MINE).order_by(leases.c.id))
_SOONEST = PreparedStatement(select(func.min(unindexed_expiry)).where(*_MINE))
_ON = PreparedStatement(
    select(leases).where(
        *_LIVE,
        leases.c.resource_type == bindparam("type"),
        leases.c.prefix == bindparam("prefix"),
        leases.c.resource == bindparam("resource"),
    )
)
_ADD = PreparedStatement(insert(leases))
_ONE = update(leases).where(leases.c.id == bindparam("lease_id"))
_EXTEND = PreparedStatement(
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
_END = PreparedStatement(
    _ONE.where(leases.c.ended_at.is_(None)).values(
        ended_at=bindparam("now"), ended_reason=bindparam("reason"), lost=bindparam("new_lost")
    )
)
# A heartbeat renews each lease by its own length, but not beyond its longest hold.
_FULL = bindparam("now_us", type_=BigInteger) + leases.c.ttl_us
_BOUND = type_coerce(leases.c.max_hold_until, BigInteger)
_RENEWED = case((_BOUND < _FULL, _BOUND), else_=_FULL)
_RENEW_ALL = PreparedStatement(
    update(leases)
    .where(*_MINE, type_coerce(leases.c.expires_at, BigInteger) < _RENEWED)
    .values(expires_at=type_coerce(_RENEWED, Timestamp()))
)


def is_live(row: Row[Any], now: datetime) -> bool:
    """Whether the lease in a row of the table still holds."""
    return row.ended_at is None and row.expires_at > now


def as_lease(row: Row[Any]) -> Lease:
    """The lease in a row of the table; raises DamagedRecord with a hint at how the owner ends it."""
    try:
        return _as_lease(row)
    except MAYBE_DAMAGE_ERRORS as error:
        if not is_damage(error, row):
            raise
        raise damaged_lease_error(row, error) from error


def damaged_lease_error(row: Row[Any], error: Exception) -> DamagedRecord:
    """The error of a lease, or a place in the queue, that can't be read."""
    reason = ", ".join(invalid_fields(error)) if isinstance(error, ValidationError) else str(error)
    return DamagedRecord(
        f"the lease {row.id} can't be read: {reason}",
        hint=_HINT.format(_selector(row)),
        record={"lease_id": row.id},
    )


def as_lease_leniently(tx: Transaction, row: Row[Any]) -> Lease:
    """The lease in a row, for ending it: values that can't be read are replaced by placeholders."""
    try:
        return as_lease(row)
    except DamagedRecord as error:
        note_damage(tx, record_name(row), error)
    readable = {key: _readable_or_none(value) for key, value in row._asdict().items()}
    ttl_us = readable["ttl_us"]
    values = {key: readable[key] for key in Lease.model_fields if key in readable}
    values["ttl_s"] = ttl_us / 1_000_000 if isinstance(ttl_us, int) else 0.0
    try:
        return Lease(**values)
    except ValidationError as error:
        placeholders = _placeholders(tx)
        return Lease(**values | {field: placeholders[field] for field in invalid_fields(error)})


def record_name(row: Row[Any]) -> str:
    """The name under which a damaged lease is noted."""
    return f"lease/{row.id}"


def invalid_fields(error: ValidationError) -> list[str]:
    """The names of the fields that a model refused."""
    return [str(detail["loc"][0]) for detail in error.errors() if detail["loc"]]


def _placeholders(tx: Transaction) -> dict[str, Any]:
    times = dict.fromkeys(("acquired_at", "expires_at", "max_hold_until"), tx.now)
    texts = dict.fromkeys(("resource_type", "resource", "agent_name", "note"), UNREADABLE_TEXT)
    return times | texts | {"agent_id": NOBODY, "mode": "exclusive", "fencing_token": 0, "task_id": None}


def _readable_or_none(value: Any) -> Any:
    return None if isinstance(value, bytes | Unreadable) else value


def _selector(row: Row[Any]) -> str:
    """The CLI options by which the owner selects a damaged lease, from what of it can be read."""
    if isinstance(getattr(row, "fencing_token", None), int):
        return f"--fencing-token {row.fencing_token}"
    return f"--agent {row.agent_name}" if isinstance(row.agent_name, str) else "--agent NAME"


def _as_lease(row: Row[Any]) -> Lease:
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
    """The live leases of an agent, oldest first, also those that can't be read."""
    return tx.execute(_HELD_BY, {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}).all()


def open_among(tx: Transaction, conditions: Sequence[ColumnElement[bool]]) -> Sequence[Row[Any]]:
    """Leases of the workspace that meet one of `conditions` and are not ended; some may have expired."""
    criteria = leases.c.workspace_id == tx.workspace_id, OPEN, or_(*conditions)
    return tx.execute(select(leases).where(*criteria).order_by(leases.c.id)).all()


def soonest_expiry(tx: Transaction, agent_id: str) -> datetime | None:
    """When the first of an agent's live leases expires; None when it holds nothing that can be read."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}
    expiry: datetime | Unreadable | None = tx.execute(_SOONEST, key).scalar_one()
    return None if isinstance(expiry, Unreadable) else expiry


def add(tx: Transaction, resources: Sequence[Resource], new_leases: Sequence[Lease]) -> None:
    """Insert the rows of new leases on `resources`, held under the caller's token."""
    prefixes = {(resource.type, resource.text): resource.prefix for resource in resources}
    rows = []
    for lease in new_leases:
        row = lease.model_dump(exclude={"ttl_s"})
        row["workspace_id"] = tx.workspace_id
        row["prefix"] = prefixes[lease.resource_type, lease.resource]
        row |= prefilter_columns(lease.resource_type, lease.resource, row["prefix"])
        row["instance_id"] = tx.caller.instance_id
        row["token_id"] = tx.caller.token_id
        row["ttl_us"] = round(lease.ttl_s * 1_000_000)
        rows.append(row)
    if rows:
        tx.execute(_ADD, rows)


def extend(tx: Transaction, extended_leases: Sequence[Lease]) -> None:
    """Update what may change in leases that continue; from now on they are held under the caller's token."""
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
        for lease in extended_leases
    ]
    if rows:
        tx.execute(_EXTEND, rows)


def renew_by_heartbeat(tx: Transaction, agent_id: str) -> None:
    """Renew every live lease of an agent after a heartbeat, each by its own length from now.

    Never beyond `max_hold_until`, never to an earlier time than before, and without an event.
    """
    times = {"now": tx.now, "now_us": microseconds(tx.now)}
    tx.execute(_RENEW_ALL, {"ws": tx.workspace_id, "agent": agent_id} | times)


def end(tx: Transaction, ended_leases: Sequence[Lease], reason: EndedReason) -> None:
    """Mark leases as over; those that the holder did not release are to be reported to it as lost."""
    end_rows = [{"lease_id": lease.id, "now": tx.now, "reason": reason} for lease in ended_leases]
    lost_marks = [
        UNREPORTED if reason != "released" and lease.note != AUTO_LOCK_NOTE else None
        for lease in ended_leases
    ]
    tx.execute(
        _END, [end_row | {"new_lost": mark} for end_row, mark in zip(end_rows, lost_marks, strict=True)]
    )
