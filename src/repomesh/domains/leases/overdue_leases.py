"""Ends leases that nobody can use any more: those that expired, and those of holders who are gone.

How silence is noticed: each call of an agent counts as a heartbeat (`jobs.implicit_heartbeats`), which renews
its leases (`overview.liveness.heartbeat`). The sweeper runs `recovery.reconcile` where something is due: it
makes silent agents inactive (`agents.operations.set_silent_agents_inactive`), and `end_overdue` ends their
leases. Reactions then open their tasks again, and `lost_leases` reports the loss to the former holder. After
an absence of the server everybody's time is extended first (`overview.liveness.server_downtime`).
"""

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
from repomesh.domains.agents.rows import HOOK_ID_PREFIX
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
    """Each (workspace, agent, token) that has leases which are not ended, by a skip scan of the index.

    Of one workspace, or of all for None. Reads one index entry for each holder, however many leases each has.
    Compares column by column, since not every planner walks an index by a comparison of tuples.
    """
    later_lease = leases.alias("ahead")
    names = ("workspace_id", "agent_id", "token_id")
    open_leases = select(later_lease.c.id).where(later_lease.c.ended_at.is_(None))
    if workspace_id is not None:
        open_leases = open_leases.where(later_lease.c.workspace_id == workspace_id)
    in_order = open_leases.order_by(*(later_lease.c[name] for name in names)).limit(1)
    holder = [leases.c[name] for name in names]
    first_holder = select(*holder).where(leases.c.id == in_order.scalar_subquery())
    holders = first_holder.cte("holders", recursive=True)
    next_holders = []
    for position in range(2, -1 if workspace_id is None else 0, -1):  # the next token, agent, workspace
        same_columns = [later_lease.c[name] == holders.c[name] for name in names[:position]]
        greater = later_lease.c[names[position]] > holders.c[names[position]]
        next_holders.append(in_order.where(*same_columns, greater).correlate(holders).scalar_subquery())
    nearest = func.coalesce(*next_holders)
    return holders.union_all(select(*holder).join_from(holders, leases, leases.c.id == nearest))


_instance = instances.alias("started")


def _newest_instance_value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value that an agent's newest instance has in a column of `_instance`."""
    statement = select(column).where(
        _instance.c.workspace_id == agents.c.workspace_id, _instance.c.agent_id == agents.c.id
    )
    return statement.order_by(_instance.c.started_at.desc()).limit(1).scalar_subquery()


# The owner's token acts for an agent now and then, as from a prompt, and sends no heartbeats: silence means
# nothing, and its leases last until they expire. A CLI's hooks use it, too, but with heartbeats.
_OF_A_CLI = or_(_instance.c.id.startswith(HOOK_ID_PREFIX), _instance.c.process_id.is_not(None))
_BY_OWNER = and_(
    agents.c.status == "inactive",
    tokens.c.role == Role.OWNER.value,
    tokens.c.revoked_at.is_(None),
    not_(func.coalesce(_newest_instance_value(_OF_A_CLI), false())),
)
# An agent that left in good order, and is still inactive, may keep what it holds until that expires.
_REASON = func.coalesce(_newest_instance_value(_instance.c.closed_reason), "")
_LEFT = and_(agents.c.status == "inactive", or_(_REASON == LEFT, _REASON == SESSION_OVER))


def _select_gone_holders(
    holders: CTE, *columns: ColumnElement[Any], without_orderly_leavers: bool
) -> Select[Any]:
    """Holders who are gone; `without_orderly_leavers` leaves out those that left in good order."""
    statement = (
        select(*columns)
        .select_from(holders)
        .join(agents, agents.c.id == holders.c.agent_id)
        .outerjoin(tokens, tokens.c.id == holders.c.token_id)
        .where(
            or_(agents.c.status != "active", tokens.c.revoked_at.is_not(None)),
            not_(func.coalesce(_BY_OWNER, false())),
        )
    )
    return statement.where(not_(_LEFT)) if without_orderly_leavers else statement


def _select_workspaces_of_gone_holders(settings: Settings) -> Select[Any]:
    """The workspaces with leases of holders who are gone (a due query)."""
    holders = _holders(None)
    columns = holders.c.workspace_id, NOW.label("due_at")
    return _select_gone_holders(
        holders, *columns, without_orderly_leavers=settings.leases_at_leave == "keep"
    ).distinct()


_HERE = _holders(bindparam("ws"))
_GONE, _GONE_UNEXPECTEDLY = (
    _select_gone_holders(
        _HERE,
        _HERE.c.agent_id,
        _HERE.c.token_id,
        agents.c.status,
        tokens.c.revoked_at,
        without_orderly_leavers=without_orderly_leavers,
    ).limit(bindparam("count"))
    for without_orderly_leavers in (False, True)
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
    Due(_select_workspaces_of_gone_holders, every_s=limits.SWEEP_CHANGES_S, on_change=True),
    Due(lambda _: _OLD_ANYWHERE, every_s=limits.HOUSEKEEPING_S),
)
"""When `end_overdue` has leases to end, and `forget_ended` rows to delete."""


def end_overdue(tx: Transaction) -> list[tuple[Lease, EndedReason]]:
    """End the leases that ran out, and those whose holder is gone; returns them with the reason of each.

    Gone is an agent that is inactive or retired, and a token that was revoked, unless an instance took over
    from it since: then its leases go on with that instance. What was taken with the owner's token for
    an agent that is inactive lasts until it expires. At most `LEASES_RECLAIMED_MAX` in one transaction.
    """
    ended: list[tuple[Lease, EndedReason]] = []
    remaining = limits.LEASES_RECLAIMED_MAX
    expired_rows = tx.execute(_EXPIRED, {"ws": tx.workspace_id, "now": tx.now, "count": remaining}).all()
    _end_rows(tx, expired_rows, "expired", ended)
    gone_query = _GONE_UNEXPECTEDLY if tx.settings.leases_at_leave == "keep" else _GONE
    holders = tx.execute(gone_query, {"ws": tx.workspace_id, "count": limits.LEASES_RECLAIMED_MAX}).all()
    for holder in holders:
        if holder.status == "active" and _hand_over(tx, holder):
            continue
        key = {"ws": tx.workspace_id, "agent": holder.agent_id, "token": holder.token_id}
        held_rows = tx.execute(_HELD, key | {"count": max(remaining - len(ended), 0)}).all()
        _end_rows(tx, held_rows, "revoked" if holder.status == "active" else "abandoned", ended)
    return ended


def end_all_of(tx: Transaction, agent_id: str) -> None:
    """End the leases of an agent that was retired.

    At most `LEASES_RECLAIMED_MAX`; `end_overdue` ends the rest.
    """
    key = {"ws": tx.workspace_id, "agent": agent_id, "count": limits.LEASES_RECLAIMED_MAX}
    held_leases = [rows.as_lease_leniently(tx, row) for row in tx.execute(_OF_AGENT, key)]
    leasing.end(tx, [lease for lease in held_leases if lease.expires_at <= tx.now], "expired")
    leasing.end(tx, [lease for lease in held_leases if lease.expires_at > tx.now], "abandoned")


def forget_ended(tx: Transaction) -> int:
    """Delete the rows of leases that ended more than LEASES_KEPT_S ago; returns how many."""
    ended_before = tx.now - timedelta(seconds=limits.LEASES_KEPT_S)
    return tx.change(
        _FORGET, {"ws": tx.workspace_id, "before": ended_before, "count": limits.LEASES_FORGOTTEN_MAX}
    )


def _end_rows(
    tx: Transaction, held_rows: Any, reason: EndedReason, ended: list[tuple[Lease, EndedReason]]
) -> None:
    ended_leases = [rows.as_lease_leniently(tx, row) for row in held_rows]
    leasing.end(tx, ended_leases, reason)
    ended += [(lease, reason) for lease in ended_leases]


def _hand_over(tx: Transaction, holder: Row[Any]) -> bool:
    """Hand the leases of a revoked token to the instance that took over; returns False when there is none."""
    key = {"ws": tx.workspace_id, "agent": holder.agent_id}
    successor = tx.execute(_SUCCESSOR, key | {"since": holder.revoked_at}).first()
    if successor is None:
        return False
    tx.execute(
        _HAND_OVER,
        key | {"token": holder.token_id, "new_token": successor.token_id, "new_instance": successor.id},
    )
    return True
