"""How many locks an agent and a workspace may hold or wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select

from repomesh.domains.leases.errors import TooManyLocks
from repomesh.domains.leases.resources import LOCK_TYPES, Resource
from repomesh.domains.leases.tables import IS_PATTERN, OPEN, leases, lock_waiters
from repomesh.kernel import limits
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

# Every lease that is not ended counts: one that expired is soon ended, and reading its time would cost more.
_HERE = leases.c.workspace_id == bindparam("ws")
_MINE = leases.c.agent_id == bindparam("agent")


def _count_query(*criteria: ColumnElement[bool]) -> PreparedStatement:
    return PreparedStatement(select(func.count()).select_from(leases).where(_HERE, OPEN, *criteria))


_OF_AGENT = _count_query(_MINE, or_(*(leases.c.resource_type == type_ for type_ in LOCK_TYPES)))
_PATTERNS_OF_AGENT = _count_query(_MINE, IS_PATTERN)
_PATTERNS = _count_query(IS_PATTERN)
# Stops at the limit, and in the order of an index.
_LEASE_BEYOND_MAX = PreparedStatement(
    select(leases.c.id)
    .where(_HERE, OPEN)
    .order_by(leases.c.resource_type, leases.c.prefix, leases.c.id)
    .offset(bindparam("most"))
    .limit(1)
)
_WAITING = PreparedStatement(
    select(func.count())
    .select_from(lock_waiters)
    .where(
        lock_waiters.c.workspace_id == bindparam("ws"),
        lock_waiters.c.agent_id == bindparam("agent"),
        lock_waiters.c.expires_at > bindparam("now"),
    )
)


def require_room(tx: Transaction, new_resources: Sequence[Resource]) -> None:
    """Raise TooManyLocks when the calling agent or its workspace may not hold `new_resources` in addition."""
    locks = [resource for resource in new_resources if resource.type in LOCK_TYPES]
    if not locks:
        return
    agent_count = _require_below(tx, _OF_AGENT, len(locks), limits.LOCKS_PER_AGENT_MAX, "you hold {} locks")
    if agent_count + len(locks) > limits.LOCKS_UNCOUNTED_MAX:
        _require_workspace_room(tx, locks)
    patterns = sum(resource.is_pattern for resource in locks)
    if patterns:
        _require_below(
            tx,
            _PATTERNS_OF_AGENT,
            patterns,
            limits.PATTERNS_PER_AGENT_MAX,
            "you hold {} locks with wildcards",
        )
        _require_below(
            tx,
            _PATTERNS,
            patterns,
            limits.PATTERNS_PER_WORKSPACE_MAX,
            "the workspace holds {} locks with wildcards",
        )


def _require_workspace_room(tx: Transaction, locks: Sequence[Resource]) -> None:
    key: dict[str, Any] = {"ws": tx.workspace_id, "most": limits.LOCKS_PER_WORKSPACE_MAX - len(locks)}
    if key["most"] < 0 or tx.execute(_LEASE_BEYOND_MAX, key).first() is not None:
        raise TooManyLocks(
            f"the workspace holds {limits.LOCKS_PER_WORKSPACE_MAX} locks and tasks, as many as it may",
            limit=limits.LOCKS_PER_WORKSPACE_MAX,
        )


def require_queue_room(tx: Transaction, resources: Sequence[Resource]) -> None:
    """Raise TooManyLocks when the calling agent may not queue for `resources` in addition."""
    key = {"ws": tx.workspace_id, "agent": tx.caller.acting_agent(), "now": tx.now}
    waiting_count = tx.execute(_WAITING, key).scalar_one()
    if waiting_count + len(resources) > limits.WAITING_LOCKS_PER_AGENT_MAX:
        raise _quota_error(
            f"you wait for {waiting_count} locks", len(resources), limits.WAITING_LOCKS_PER_AGENT_MAX
        )


def _require_below(
    tx: Transaction, count: PreparedStatement, added_count: int, count_max: int, text: str
) -> int:
    held_count: int = tx.execute(
        count, {"ws": tx.workspace_id, "agent": tx.caller.acting_agent()}
    ).scalar_one()
    if held_count + added_count > count_max:
        raise _quota_error(text.format(held_count), added_count, count_max)
    return held_count


def _quota_error(text: str, added_count: int, count_max: int) -> TooManyLocks:
    return TooManyLocks(f"{text}; with {added_count} more it would be over {count_max}", limit=count_max)
