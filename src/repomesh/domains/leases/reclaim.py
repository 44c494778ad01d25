"""Giving back what nobody can use any more: leases that ran out, and those of holders who are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import CTE, Row, and_, bindparam, delete, func, not_, or_, select, update

from repomesh.domains.agents.operations import LEFT, SESSION_OVER
from repomesh.domains.agents.tables import agents, instances
from repomesh.domains.leases import leasing
from repomesh.domains.leases.models import EndedReason, Lease
from repomesh.domains.leases.tables import leases
from repomesh.domains.workspaces.tables import tokens
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

_OPEN = leases.c.workspace_id == bindparam("ws"), leases.c.ended_at.is_(None)


def _holders() -> CTE:
    """Each (agent, token) that has leases which are not ended, by jumping through the index.

    Reads one entry for each holder, however many leases each has. The next holder is looked for in two
    steps, since not every planner walks an index by a comparison of pairs.
    """
    ahead = leases.alias("ahead")
    open_ones = select(ahead.c.id).where(ahead.c.workspace_id == bindparam("ws"), ahead.c.ended_at.is_(None))
    in_order = open_ones.order_by(ahead.c.agent_id, ahead.c.token_id).limit(1)
    pair = (leases.c.agent_id, leases.c.token_id)
    first = select(*pair).where(leases.c.id == in_order.scalar_subquery())
    known = first.cte("holders", recursive=True)
    same_agent = in_order.where(ahead.c.agent_id == known.c.agent_id, ahead.c.token_id > known.c.token_id)
    next_agent = in_order.where(ahead.c.agent_id > known.c.agent_id)
    steps = [step.correlate(known).scalar_subquery() for step in (same_agent, next_agent)]
    nearest = func.coalesce(*steps)
    return known.union_all(select(*pair).join_from(known, leases, leases.c.id == nearest))


_HOLDERS = _holders()
_GONE = (
    select(_HOLDERS.c.agent_id, _HOLDERS.c.token_id, agents.c.status, tokens.c.revoked_at)
    .join(agents, agents.c.id == _HOLDERS.c.agent_id)
    .outerjoin(tokens, tokens.c.id == _HOLDERS.c.token_id)
    .where(or_(agents.c.status != "active", tokens.c.revoked_at.is_not(None)))
    .limit(limits.LEASES_RECLAIMED_MAX)
)
# Who left in good order, and whom nobody spoke for since, may keep what it holds until that expires.
_started = instances.alias("started")
_newest = (
    select(_started.c.closed_reason)
    .where(_started.c.workspace_id == bindparam("ws"), _started.c.agent_id == agents.c.id)
    .order_by(_started.c.started_at.desc())
    .limit(1)
    .scalar_subquery()
)
_LEFT = and_(agents.c.status == "inactive", func.coalesce(_newest, "").in_((LEFT, SESSION_OVER)))
_GONE_FOR_GOOD = _GONE.where(not_(_LEFT))
_SUCCESSOR = (
    select(instances.c.id, instances.c.token_id)
    .join(tokens, tokens.c.id == instances.c.token_id)
    .where(
        instances.c.workspace_id == bindparam("ws"),
        instances.c.agent_id == bindparam("agent"),
        instances.c.closed_at.is_(None),
        instances.c.started_at >= bindparam("since"),
        tokens.c.revoked_at.is_(None),
    )
)
_OF_HOLDER = and_(*_OPEN, leases.c.agent_id == bindparam("agent"), leases.c.token_id == bindparam("token"))
_HELD = select(leases).where(_OF_HOLDER).limit(bindparam("count"))
_HAND_OVER = (
    update(leases)
    .where(_OF_HOLDER)
    .values(token_id=bindparam("new_token"), instance_id=bindparam("new_instance"))
)
_EXPIRED = (
    select(leases)
    .where(*_OPEN, leases.c.expires_at <= bindparam("now"))
    .order_by(leases.c.expires_at)
    .limit(bindparam("count"))
)
_OLD = (
    select(leases.c.id)
    .where(leases.c.workspace_id == bindparam("ws"), leases.c.ended_at < bindparam("before"))
    .limit(limits.LEASES_RECLAIMED_MAX)
)
_FORGET = delete(leases).where(leases.c.id.in_(_OLD))


def reclaim(tx: Transaction) -> list[tuple[Lease, EndedReason]]:
    """End the leases that ran out, and those whose holder is gone; answers them with the reason of each.

    Gone is an agent that is inactive or retired, and a token that was revoked, unless an instance took over
    from it since: then its leases go on with that instance. At most `LEASES_RECLAIMED_MAX` in one pass.
    """
    ended: list[tuple[Lease, EndedReason]] = []
    left = limits.LEASES_RECLAIMED_MAX
    expired = tx.execute(_EXPIRED, {"ws": tx.workspace_id, "now": tx.now, "count": left}).all()
    _end(tx, expired, "expired", ended)
    gone = _GONE_FOR_GOOD if tx.settings.leases_at_leave == "keep" else _GONE
    for holder in tx.execute(gone, {"ws": tx.workspace_id}).all():
        if holder.status == "active" and _hand_over(tx, holder):
            continue
        key = {"ws": tx.workspace_id, "agent": holder.agent_id, "token": holder.token_id}
        held = tx.execute(_HELD, key | {"count": max(left - len(ended), 0)}).all()
        _end(tx, held, "revoked" if holder.status == "active" else "abandoned", ended)
    return ended


def forget_ended(tx: Transaction) -> int:
    """Delete the rows of leases that were over for so long that nobody asks for them; answers how many."""
    before = tx.now - timedelta(seconds=limits.LEASES_KEPT_S)
    return tx.change(_FORGET, {"ws": tx.workspace_id, "before": before})


def _end(tx: Transaction, rows: Any, reason: EndedReason, ended: list[tuple[Lease, EndedReason]]) -> None:
    over = [leasing.as_lease(row) for row in rows]
    leasing.end(tx, over, reason)
    ended += [(lease, reason) for lease in over]


def _hand_over(tx: Transaction, holder: Row[Any]) -> bool:
    """Let the instance that took over from a revoked token hold its leases; False when there is none."""
    key = {"ws": tx.workspace_id, "agent": holder.agent_id}
    heir = tx.execute(_SUCCESSOR, key | {"since": holder.revoked_at}).first()
    if heir is None:
        return False
    tx.execute(
        _HAND_OVER, key | {"token": holder.token_id, "new_token": heir.token_id, "new_instance": heir.id}
    )
    return True
