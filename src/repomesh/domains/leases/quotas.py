"""How many locks an agent and a workspace may hold or wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select

from repomesh.domains.leases.errors import TooManyLocks
from repomesh.domains.leases.resources import LOCK_TYPES, Resource
from repomesh.domains.leases.tables import IS_PATTERN, OPEN, leases, lock_waiters
from repomesh.kernel import limits
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

# All that is not ended counts: what ran out a moment ago is soon ended, and reading its time would cost more.
_HERE = leases.c.workspace_id == bindparam("ws")
_MINE = leases.c.agent_id == bindparam("agent")


def _count(*criteria: ColumnElement[bool]) -> Prepared:
    return Prepared(select(func.count()).select_from(leases).where(_HERE, OPEN, *criteria))


_OF_AGENT = _count(_MINE, or_(*(leases.c.resource_type == type_ for type_ in LOCK_TYPES)))
_PATTERNS_OF_AGENT = _count(_MINE, IS_PATTERN)
_PATTERNS = _count(IS_PATTERN)
# Stops at the limit, and in the order of an index.
_ONE_BEHIND = Prepared(
    select(leases.c.id)
    .where(_HERE, OPEN)
    .order_by(leases.c.resource_type, leases.c.prefix, leases.c.id)
    .offset(bindparam("most"))
    .limit(1)
)
_WAITING = Prepared(
    select(func.count())
    .select_from(lock_waiters)
    .where(
        lock_waiters.c.workspace_id == bindparam("ws"),
        lock_waiters.c.agent_id == bindparam("agent"),
        lock_waiters.c.expires_at > bindparam("now"),
    )
)


def require_room(tx: Transaction, new: Sequence[Resource]) -> None:
    """Raise TooManyLocks when the calling agent or its workspace may not hold all of `new` besides."""
    locks = [resource for resource in new if resource.type in LOCK_TYPES]
    if not locks:
        return
    mine = _require(tx, _OF_AGENT, len(locks), limits.LOCKS_PER_AGENT_MAX, "you hold {} locks")
    if mine + len(locks) > limits.LOCKS_UNCOUNTED_MAX:
        _require_workspace_room(tx, locks)
    patterns = sum(resource.is_pattern for resource in locks)
    if patterns:
        mine, all_ = limits.PATTERNS_PER_AGENT_MAX, limits.PATTERNS_PER_WORKSPACE_MAX
        _require(tx, _PATTERNS_OF_AGENT, patterns, mine, "you hold {} locks with wildcards")
        _require(tx, _PATTERNS, patterns, all_, "the workspace holds {} locks with wildcards")


def _require_workspace_room(tx: Transaction, locks: Sequence[Resource]) -> None:
    key: dict[str, Any] = {"ws": tx.workspace_id, "most": limits.LOCKS_PER_WORKSPACE_MAX - len(locks)}
    if key["most"] < 0 or tx.execute(_ONE_BEHIND, key).first() is not None:
        raise TooManyLocks(
            f"the workspace holds {limits.LOCKS_PER_WORKSPACE_MAX} locks and tasks, as many as it may",
            limit=limits.LOCKS_PER_WORKSPACE_MAX,
        )


def require_place(tx: Transaction, wanted: Sequence[Resource]) -> None:
    """Raise TooManyLocks when the calling agent may not queue for all of `wanted` besides."""
    key = {"ws": tx.workspace_id, "agent": tx.caller.acting_agent(), "now": tx.now}
    waits = tx.execute(_WAITING, key).scalar_one()
    if waits + len(wanted) > limits.WAITING_LOCKS_PER_AGENT_MAX:
        raise _refusal(f"you wait for {waits} locks", len(wanted), limits.WAITING_LOCKS_PER_AGENT_MAX)


def _require(tx: Transaction, count: Prepared, more: int, most: int, text: str) -> int:
    held: int = tx.execute(count, {"ws": tx.workspace_id, "agent": tx.caller.acting_agent()}).scalar_one()
    if held + more > most:
        raise _refusal(text.format(held), more, most)
    return held


def _refusal(text: str, more: int, most: int) -> TooManyLocks:
    return TooManyLocks(f"{text}; with {more} more it would be over {most}", limit=most)
