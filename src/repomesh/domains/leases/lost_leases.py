"""Leases that their holder lost: kept until they were reported to it, once, however long it was away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, bindparam, literal, or_, select, update

from repomesh.domains.leases import leasing, paths
from repomesh.domains.leases.models import AUTO_LOCK_NOTE, EndedReason, LossesReported, LostLease, Mode
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.domains.leases.rows import UNREPORTED, as_lease, as_lease_leniently, record_name
from repomesh.domains.leases.tables import leases, unindexed_expiry
from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.operation import Empty, command
from repomesh.store.damage import convert_readable
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_MINE = leases.c.workspace_id == bindparam("ws"), leases.c.agent_id == bindparam("agent")
_ENDED = select(leases).where(*_MINE, leases.c.lost == UNREPORTED)
# Past its time, but no pass of the sweeper has ended it yet.
_LAPSED = select(leases).where(
    *_MINE,
    leases.c.ended_at.is_(None),
    unindexed_expiry <= bindparam("now"),
    leases.c.note != AUTO_LOCK_NOTE,
)
_SOME_ENDED = PreparedStatement(_ENDED.order_by(leases.c.id.desc()).limit(limits.LOSSES_LOOKED_AT))
_SOME_LAPSED = PreparedStatement(_LAPSED.order_by(leases.c.id.desc()).limit(limits.LOSSES_LOOKED_AT))
ENDED_UNREPORTED = _ENDED.with_only_columns(literal(1)).exists()
"""Whether the agent `:agent` of workspace `:ws` lost a lease that was ended and was not reported to it."""
_ANY = PreparedStatement(
    select(
        or_(
            ENDED_UNREPORTED,
            _LAPSED.with_only_columns(literal(1)).exists(),
        ).label("due")
    )
)
_REMEMBERED = PreparedStatement(
    select(leases)
    .where(*_MINE, leases.c.lost.is_not(None))
    .order_by(leases.c.id.desc())
    .limit(limits.LOSSES_LOOKED_AT)
)


def any_unreported(tx: Transaction, agent_id: str) -> bool:
    """Whether an agent lost leases that were not reported to it. Reads two indexes."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}
    return bool(tx.execute(_ANY, key).one().due)


def unreported(tx: Transaction, agent_id: str) -> list[LostLease]:
    """The lost leases that were not reported to an agent, the newest first; at most `LOSSES_LOOKED_AT`.

    The present holder is looked up for the first `BRIEFING_ITEMS_MAX`, which are those that a briefing names.
    """
    lost_rows = _read_unreported(tx, agent_id)
    named_rows = lost_rows[: limits.BRIEFING_ITEMS_MAX]
    named_losses = convert_readable(
        tx, named_rows, partial(_as_lost_lease, tx, with_holder=True), record_name
    )
    return named_losses + convert_readable(
        tx, lost_rows[len(named_rows) :], partial(_as_lost_lease, tx), record_name
    )


def on_path(tx: Transaction, agent_id: str, path: str) -> LostLease | None:
    """The newest lease on a file that an agent lost, reported or not; None when it lost none."""
    key = {"ws": tx.workspace_id, "agent": agent_id}
    lapsed_rows = tx.execute(_SOME_LAPSED, key | {"now": tx.now}).all()
    for row in [*lapsed_rows, *tx.execute(_REMEMBERED, key).all()]:
        for lost_lease in convert_readable(tx, [row], partial(_as_lost_lease, tx), record_name):
            if row.resource_type == PATH and paths.holds(row.resource, path):
                return lost_lease
    return None


def mark_reported(tx: Transaction, agent_id: str, lease_ids: Sequence[str], answer_id: str) -> None:
    """Mark losses as reported, with the answer_id of the answer; end those that had only expired."""
    lost_rows = [row for row in _read_unreported(tx, agent_id) if row.id in set(lease_ids)]
    lapsed_leases = [as_lease_leniently(tx, row) for row in lost_rows if row.ended_at is None]
    leasing.end(tx, lapsed_leases, "expired")
    criteria = leases.c.workspace_id == tx.workspace_id, leases.c.id.in_([row.id for row in lost_rows])
    if lost_rows:
        tx.execute(update(leases).where(*criteria).values(lost=answer_id))


def report_again(tx: Transaction, agent_id: str, answer_id: str) -> None:
    """Mark the losses in an answer that did not arrive, by its answer_id, as not reported."""
    criteria = leases.c.workspace_id == tx.workspace_id, leases.c.agent_id == agent_id
    tx.execute(update(leases).where(*criteria, leases.c.lost == answer_id).values(lost=UNREPORTED))


@command("lease.losses_reported", scope="locks:write", needs_agent=True)
def record_losses_reported(tx: Transaction, request: LossesReported) -> Empty:
    """Record that the acting agent's model was informed of leases that it lost."""
    mark_reported(tx, tx.caller.acting_agent(), request.lease_ids, request.receipt)
    return Empty()


def _read_unreported(tx: Transaction, agent_id: str) -> list[Row[Any]]:
    key = {"ws": tx.workspace_id, "agent": agent_id}
    lapsed_rows = tx.execute(_SOME_LAPSED, key | {"now": tx.now}).all()
    ended_rows = tx.execute(_SOME_ENDED, key).all()
    return [*lapsed_rows, *ended_rows][: limits.LOSSES_LOOKED_AT]


def _as_lost_lease(tx: Transaction, row: Row[Any], *, with_holder: bool = False) -> LostLease:
    lease = as_lease(row)
    reason: EndedReason = row.ended_reason or "expired"
    holder = _find_current_holder(tx, row) if with_holder else None
    return LostLease(
        id=lease.id,
        resource_type=lease.resource_type,
        resource=lease.resource,
        fencing_token=lease.fencing_token,
        reason=reason,
        at=_lost_since(row),
        reached_max_hold=lease.expires_at >= lease.max_hold_until,
        holder_name=holder,
    )


def _lost_since(row: Row[Any]) -> datetime:
    """When the lease stopped to hold: at its expiry, even if the sweeper ended it later."""
    if row.ended_at is None or row.ended_reason == "expired":
        at: datetime = row.expires_at
        return at
    ended: datetime = row.ended_at
    return ended


def _find_current_holder(tx: Transaction, row: Row[Any]) -> str | None:
    """The name of the agent whose lease now excludes this one; None if there is none or it can't be read."""
    mode: Mode = row.mode
    resource = Resource(row.resource_type, row.resource, row.prefix)
    try:
        lease_obstacles = [
            obstacle
            for obstacle in leasing.find_obstacles(tx, [resource], mode, row.agent_id)
            if not obstacle.waiting
        ]
    except DamagedRecord:  # the lease of another agent
        return None
    return lease_obstacles[0].holder_name if lease_obstacles else None
