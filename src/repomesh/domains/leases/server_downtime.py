"""Extends leases and places in the queue after the server was away, since nobody could renew them."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, case, type_coerce, update

from repomesh.domains.leases.tables import leases, lock_waiters
from repomesh.domains.workspaces.server_downtime import Absence
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp, later_by, microseconds

_NOW, _LIMIT, _AWAY = (bindparam(name, type_=BigInteger) for name in ("now_us", "limit_us", "away_us"))
_GRACE = _NOW + case((leases.c.ttl_us < _LIMIT, leases.c.ttl_us), else_=_LIMIT)
_EXTEND = PreparedStatement(
    update(leases)
    .where(
        leases.c.workspace_id == bindparam("ws"),
        leases.c.ended_at.is_(None),
        leases.c.expires_at > bindparam("left_at"),
        type_coerce(leases.c.expires_at, BigInteger) < _GRACE,
    )
    .values(expires_at=type_coerce(_GRACE, Timestamp()))
)
_POSTPONE = PreparedStatement(
    update(lock_waiters)
    .where(lock_waiters.c.workspace_id == bindparam("ws"), lock_waiters.c.expires_at > bindparam("left_at"))
    .values(expires_at=later_by(lock_waiters.c.expires_at, _AWAY))
)


def extend_expiries(tx: Transaction, absence: Absence) -> None:
    """Let every lease that was live when the server stopped last for a full limit from now.

    That is its own length, or the limit of silence if that is less: holders that live renew it by then.
    A request in the queue waits for the time that it had left.
    """
    key = {"ws": tx.workspace_id, "left_at": absence.left_at}
    limit_us = round(tx.settings.agent_inactive_after_s * 1_000_000)
    tx.change(_EXTEND, key | {"now_us": microseconds(tx.now), "limit_us": limit_us})
    tx.change(_POSTPONE, key | {"away_us": absence.length_us})
