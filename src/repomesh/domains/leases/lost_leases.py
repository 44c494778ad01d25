"""Leases that their holder lost: kept until the holder was told of them, once, however long it was away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, bindparam, literal, or_, select, update

from repomesh.domains.leases import leasing, paths
from repomesh.domains.leases.models import AUTO_LOCK_NOTE, EndedReason, LossesReported, LostLease, Mode
from repomesh.domains.leases.resources import PATH, Resource
from repomesh.domains.leases.rows import UNTOLD, as_lease, name, to_end
from repomesh.domains.leases.tables import leases, unindexed_expiry
from repomesh.kernel import limits
from repomesh.kernel.errors import DamagedRecord
from repomesh.kernel.operation import Empty, command
from repomesh.store.damage import readable
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_MINE = leases.c.workspace_id == bindparam("ws"), leases.c.agent_id == bindparam("agent")
_ENDED = select(leases).where(*_MINE, leases.c.lost == UNTOLD)
# Past its time, but no pass of the sweeper has ended it yet.
_LAPSED = select(leases).where(
    *_MINE,
    leases.c.ended_at.is_(None),
    unindexed_expiry <= bindparam("now"),
    leases.c.note != AUTO_LOCK_NOTE,
)
_SOME_ENDED = Prepared(_ENDED.order_by(leases.c.id.desc()).limit(limits.LOSSES_LOOKED_AT))
_SOME_LAPSED = Prepared(_LAPSED.order_by(leases.c.id.desc()).limit(limits.LOSSES_LOOKED_AT))
ENDED_UNTOLD = _ENDED.with_only_columns(literal(1)).exists()
"""Whether the agent `:agent` of workspace `:ws` lost a lease that was ended, and was not told of it."""
_ANY = Prepared(
    select(
        or_(
            ENDED_UNTOLD,
            _LAPSED.with_only_columns(literal(1)).exists(),
        ).label("due")
    )
)
_REMEMBERED = Prepared(
    select(leases)
    .where(*_MINE, leases.c.lost.is_not(None))
    .order_by(leases.c.id.desc())
    .limit(limits.LOSSES_LOOKED_AT)
)


def any_due(tx: Transaction, agent_id: str) -> bool:
    """Whether an agent lost leases that it was not told of. Reads two indexes."""
    key = {"ws": tx.workspace_id, "agent": agent_id, "now": tx.now}
    return bool(tx.execute(_ANY, key).one().due)


def due(tx: Transaction, agent_id: str) -> list[LostLease]:
    """The leases that an agent lost and was not told of, the newest first; at most `LOSSES_LOOKED_AT`.

    Who holds the same by now is looked up for as many as are named.
    """
    found = _untold(tx, agent_id)
    named = found[: limits.BRIEFING_ITEMS_MAX]
    lost = readable(tx, named, partial(_lost, tx, by_whom=True), name)
    return lost + readable(tx, found[len(named) :], partial(_lost, tx), name)


def on_path(tx: Transaction, agent_id: str, path: str) -> LostLease | None:
    """The newest lease on a file that an agent lost, told or not; None when it lost none."""
    key = {"ws": tx.workspace_id, "agent": agent_id}
    lapsed = tx.execute(_SOME_LAPSED, key | {"now": tx.now}).all()
    for row in [*lapsed, *tx.execute(_REMEMBERED, key).all()]:
        for lost in readable(tx, [row], partial(_lost, tx), name):
            if row.resource_type == PATH and paths.holds(row.resource, path):
                return lost
    return None


def note_told(tx: Transaction, agent_id: str, lease_ids: Sequence[str], receipt: str) -> None:
    """Note that an agent is told of losses, under the receipt of the answer; ends those that only lapsed."""
    chosen = [row for row in _untold(tx, agent_id) if row.id in set(lease_ids)]
    lapsed = [to_end(tx, row) for row in chosen if row.ended_at is None]
    leasing.end(tx, lapsed, "expired")
    mine = leases.c.workspace_id == tx.workspace_id, leases.c.id.in_([row.id for row in chosen])
    if chosen:
        tx.execute(update(leases).where(*mine).values(lost=receipt))


def report_again(tx: Transaction, agent_id: str, receipt: str) -> None:
    """The answer with this receipt can't have arrived: what it told of is due again."""
    mine = leases.c.workspace_id == tx.workspace_id, leases.c.agent_id == agent_id
    tx.execute(update(leases).where(*mine, leases.c.lost == receipt).values(lost=UNTOLD))


@command("lease.losses_told", scope="locks:write", needs_agent=True)
def losses_told(tx: Transaction, request: LossesReported) -> Empty:
    """Note that the acting agent's model was told of leases that it lost."""
    note_told(tx, tx.caller.acting_agent(), request.lease_ids, request.receipt)
    return Empty()


def _untold(tx: Transaction, agent_id: str) -> list[Row[Any]]:
    key = {"ws": tx.workspace_id, "agent": agent_id}
    lapsed = tx.execute(_SOME_LAPSED, key | {"now": tx.now}).all()
    ended = tx.execute(_SOME_ENDED, key).all()
    return [*lapsed, *ended][: limits.LOSSES_LOOKED_AT]


def _lost(tx: Transaction, row: Row[Any], *, by_whom: bool = False) -> LostLease:
    lease = as_lease(row)
    reason: EndedReason = row.ended_reason or "expired"
    holder = _holder_now(tx, row) if by_whom else None
    return LostLease(
        id=lease.id,
        resource_type=lease.resource_type,
        resource=lease.resource,
        fencing_token=lease.fencing_token,
        reason=reason,
        at=_lost_at(row),
        at_its_longest=lease.expires_at >= lease.max_hold_until,
        holder_name=holder,
    )


def _lost_at(row: Row[Any]) -> datetime:
    """When it stopped to hold: at its expiry, however long after a worker found that."""
    if row.ended_at is None or row.ended_reason == "expired":
        at: datetime = row.expires_at
        return at
    ended: datetime = row.ended_at
    return ended


def _holder_now(tx: Transaction, row: Row[Any]) -> str | None:
    """Who holds by now what stands against taking the same again; None when it is free or can't be told."""
    mode: Mode = row.mode
    wanted = Resource(row.resource_type, row.resource, row.prefix)
    try:
        held = [one for one in leasing.obstacles(tx, [wanted], mode, row.agent_id) if not one.waiting]
    except DamagedRecord:  # of another's lease
        return None
    return held[0].holder_name if held else None
