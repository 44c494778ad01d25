"""Giving back what nobody can use any more: leases that ran out, and those of holders who are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    false,
    func,
    not_,
    or_,
    select,
    update,
)

from repomesh.domains.agents.operations import LEFT, SESSION_OVER
from repomesh.domains.agents.rows import OF_HOOKS
from repomesh.domains.agents.tables import agents, instances
from repomesh.domains.leases import leasing, rows
from repomesh.domains.leases.models import EndedReason, Lease
from repomesh.domains.leases.tables import OPEN, leases
from repomesh.domains.workspaces.tables import tokens
from repomesh.kernel import limits
from repomesh.kernel.identity import Role
from repomesh.kernel.operation import Due
from repomesh.kernel.settings import Settings
from repomesh.store.due import NOW, before, due_at, due_in_each
from repomesh.store.transaction import Transaction

_OPEN = leases.c.workspace_id == bindparam("ws"), leases.c.ended_at.is_(None)


def _holders(workspace_id: ColumnElement[Any] | None) -> CTE:
    """Each (workspace, agent, token) that has leases which are not ended, by jumping through the index.

    Of one workspace, or of all for None. Reads one entry for each holder, however many leases each has. The
    next holder is looked for in steps, since not every planner walks an index by a comparison of tuples.
    """
    ahead = leases.alias("ahead")
    names = ("workspace_id", "agent_id", "token_id")
    open_ones = select(ahead.c.id).where(ahead.c.ended_at.is_(None))
    if workspace_id is not None:
        open_ones = open_ones.where(ahead.c.workspace_id == workspace_id)
    in_order = open_ones.order_by(*(ahead.c[name] for name in names)).limit(1)
    holder = [leases.c[name] for name in names]
    first = select(*holder).where(leases.c.id == in_order.scalar_subquery())
    known = first.cte("holders", recursive=True)
    steps = []
    for fixed in range(2, -1 if workspace_id is None else 0, -1):  # the next token, agent, workspace
        same = [ahead.c[name] == known.c[name] for name in names[:fixed]]
        greater = ahead.c[names[fixed]] > known.c[names[fixed]]
        steps.append(in_order.where(*same, greater).correlate(known).scalar_subquery())
    nearest = func.coalesce(*steps)
    return known.union_all(select(*holder).join_from(known, leases, leases.c.id == nearest))


_started = instances.alias("started")


def _newest(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """What an agent's newest instance has in a column of `_started`."""
    found = select(column).where(
        _started.c.workspace_id == agents.c.workspace_id, _started.c.agent_id == agents.c.id
    )
    return found.order_by(_started.c.started_at.desc()).limit(1).scalar_subquery()


# The owner's token acts for an agent now and then, as from a prompt: no heartbeat was promised, so silence
# says nothing, and what it took lasts as long as was asked for. A CLI's hooks use it, too, with heartbeats.
_OF_A_CLI = or_(_started.c.id.startswith(OF_HOOKS), _started.c.process_id.is_not(None))
_BY_OWNER = and_(
    agents.c.status == "inactive",
    tokens.c.role == Role.OWNER.value,
    tokens.c.revoked_at.is_(None),
    not_(func.coalesce(_newest(_OF_A_CLI), false())),
)
# Who left in good order, and whom nobody spoke for since, may keep what it holds until that expires.
_REASON = func.coalesce(_newest(_started.c.closed_reason), "")
_LEFT = and_(agents.c.status == "inactive", or_(_REASON == LEFT, _REASON == SESSION_OVER))


def _gone(holders: CTE, *columns: ColumnElement[Any], for_good: bool) -> Select[Any]:
    """Holders who are gone; `for_good` leaves out those that left in good order."""
    found = (
        select(*columns)
        .select_from(holders)
        .join(agents, agents.c.id == holders.c.agent_id)
        .outerjoin(tokens, tokens.c.id == holders.c.token_id)
        .where(
            or_(agents.c.status != "active", tokens.c.revoked_at.is_not(None)),
            not_(func.coalesce(_BY_OWNER, false())),
        )
    )
    return found.where(not_(_LEFT)) if for_good else found


def _gone_anywhere(settings: Settings) -> Select[Any]:
    """The workspaces with leases of holders who are gone (a due query)."""
    holders = _holders(None)
    columns = holders.c.workspace_id, NOW.label("due_at")
    return _gone(holders, *columns, for_good=settings.leases_at_leave == "keep").distinct()


_HERE = _holders(bindparam("ws"))
_GONE, _GONE_FOR_GOOD = (
    _gone(
        _HERE,
        _HERE.c.agent_id,
        _HERE.c.token_id,
        agents.c.status,
        tokens.c.revoked_at,
        for_good=for_good,
    ).limit(bindparam("count"))
    for for_good in (False, True)
)
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
_OF_AGENT = (
    select(leases)
    .where(*_OPEN, leases.c.agent_id == bindparam("agent"))
    .order_by(leases.c.id)
    .limit(bindparam("count"))
)
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
    .limit(bindparam("count"))
)
_FORGET = delete(leases).where(leases.c.id.in_(_OLD))
_OLD_ANYWHERE = due_in_each(
    leases.c.workspace_id,
    leases.c.ended_at < before(limits.LEASES_KEPT_S),
)
DUE = (
    Due(lambda _: due_at(leases.c.workspace_id, leases.c.expires_at, OPEN)),
    Due(_gone_anywhere, every_s=limits.SWEEP_CHANGES_S, on_change=True),
    Due(lambda _: _OLD_ANYWHERE, every_s=limits.HOUSEKEEPING_S),
)
"""What `reclaim` ends, and what `forget_ended` deletes."""


def reclaim(tx: Transaction) -> list[tuple[Lease, EndedReason]]:
    """End the leases that ran out, and those whose holder is gone; answers them with the reason of each.

    Gone is an agent that is inactive or retired, and a token that was revoked, unless an instance took over
    from it since: then its leases go on with that instance. What was taken with the owner's token for
    an agent that is inactive lasts until it expires. At most `LEASES_RECLAIMED_MAX` in one transaction.
    """
    ended: list[tuple[Lease, EndedReason]] = []
    remaining = limits.LEASES_RECLAIMED_MAX
    expired = tx.execute(_EXPIRED, {"ws": tx.workspace_id, "now": tx.now, "count": remaining}).all()
    _end(tx, expired, "expired", ended)
    gone = _GONE_FOR_GOOD if tx.settings.leases_at_leave == "keep" else _GONE
    holders = tx.execute(gone, {"ws": tx.workspace_id, "count": limits.LEASES_RECLAIMED_MAX}).all()
    for holder in holders:
        if holder.status == "active" and _hand_over(tx, holder):
            continue
        key = {"ws": tx.workspace_id, "agent": holder.agent_id, "token": holder.token_id}
        held = tx.execute(_HELD, key | {"count": max(remaining - len(ended), 0)}).all()
        _end(tx, held, "revoked" if holder.status == "active" else "abandoned", ended)
    return ended


def end_all_of(tx: Transaction, agent_id: str) -> None:
    """End the leases of an agent that was retired.

    At most `LEASES_RECLAIMED_MAX`; `reclaim` ends the rest.
    """
    key = {"ws": tx.workspace_id, "agent": agent_id, "count": limits.LEASES_RECLAIMED_MAX}
    held = [rows.to_end(tx, row) for row in tx.execute(_OF_AGENT, key)]
    leasing.end(tx, [lease for lease in held if lease.expires_at <= tx.now], "expired")
    leasing.end(tx, [lease for lease in held if lease.expires_at > tx.now], "abandoned")


def forget_ended(tx: Transaction) -> int:
    """Delete the rows of leases that were over for so long that nobody asks for them; answers how many."""
    before = tx.now - timedelta(seconds=limits.LEASES_KEPT_S)
    return tx.change(_FORGET, {"ws": tx.workspace_id, "before": before, "count": limits.LEASES_FORGOTTEN_MAX})


def _end(tx: Transaction, held: Any, reason: EndedReason, ended: list[tuple[Lease, EndedReason]]) -> None:
    over = [rows.to_end(tx, row) for row in held]
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
