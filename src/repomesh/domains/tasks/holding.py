"""Checks who holds a task, and ends a hold with all that was locked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.models import EndedReason, Lease
from repomesh.domains.leases.rows import as_lease_leniently
from repomesh.domains.leases.tables import leases
from repomesh.domains.tasks import rows, rules
from repomesh.domains.tasks.errors import NotYourTask
from repomesh.domains.tasks.models import Ending
from repomesh.domains.tasks.rules import Action
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_NOTE_CHARS = 200  # of a reason, in the events of its leases; the whole stands in the task's
_FOR_TASK = PreparedStatement(
    select(leases)
    .where(
        leases.c.workspace_id == bindparam("ws"),
        leases.c.agent_id == bindparam("agent"),
        leases.c.ended_at.is_(None),
        leases.c.task_id == bindparam("task"),
    )
    .order_by(leases.c.id)
)


def require_hold(tx: Transaction, action: Action, task_id: str, fencing_token: int) -> Row[Any]:
    """The row of a task that the calling agent holds under `fencing_token`, and that allows `action`.

    Raises TaskNotFound; TaskStatusConflict when the task is over or blocked; and NotHolder,
    LeaseExpired or StaleFencingToken for a caller that does not, or no longer, hold it.
    """
    row = rows.find(tx, task_id)
    if row.status not in ("open", "claimed"):
        rules.require_allowed(action, row.id, row.status, row.reason)
    leasing.check(tx, resources.work(resources.TASK, row.id), fencing_token)
    rules.require_allowed(action, row.id, row.status, row.reason)
    return row


def require_change_allowed(tx: Transaction, row: Row[Any]) -> None:
    """Raise NotYourTask when another agent holds the task, unless the caller made it or is the owner."""
    may_change = is_owner(tx) or tx.caller.agent_id in (row.agent_id, row.created_by)
    if row.status == "claimed" and not may_change:
        raise NotYourTask(f"{row.agent_name} holds task {row.id}")


def is_owner(tx: Transaction) -> bool:
    """Whether the caller is the workspace's owner, and speaks as no agent."""
    return tx.caller.is_admin and tx.caller.agent_id is None


def leases_for(tx: Transaction, task_id: str, agent_id: str) -> list[Lease]:
    """The leases of an agent for a task that are not ended: the claim, and the locks taken for it."""
    return [leasing.as_lease(row) for row in _read_lease_rows(tx, task_id, agent_id)]


def _read_lease_rows(tx: Transaction, task_id: str, agent_id: str) -> Sequence[Row[Any]]:
    return tx.execute(_FOR_TASK, {"ws": tx.workspace_id, "agent": agent_id, "task": task_id}).all()


def end_hold(
    tx: Transaction, row: Row[Any], outcome: Ending, reason: str, lease_reason: EndedReason = "released"
) -> None:
    """End the hold of a claimed task: its lease, the locks held for it, and the attempt."""
    held_leases = [as_lease_leniently(tx, lease) for lease in _read_lease_rows(tx, row.id, row.agent_id)]
    leasing.end(tx, held_leases, lease_reason, reason[:_NOTE_CHARS])
    rows.end_attempt(tx, row, outcome, reason)
