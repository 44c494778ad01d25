"""Who holds a task, and how a hold ends with all that was locked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select

from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.models import EndedReason, Lease
from repomesh.domains.leases.rows import as_lease_to_end
from repomesh.domains.leases.tables import leases
from repomesh.domains.tasks import rows, rules
from repomesh.domains.tasks.models import Ending
from repomesh.domains.tasks.rules import Action
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_FOR_TASK = Prepared(
    select(leases)
    .where(
        leases.c.workspace_id == bindparam("ws"),
        leases.c.agent_id == bindparam("agent"),
        leases.c.ended_at.is_(None),
        leases.c.task_id == bindparam("task"),
    )
    .order_by(leases.c.id)
)


def require(tx: Transaction, action: Action, task_id: str, fencing_token: int) -> Row[Any]:
    """The row of a task that the calling agent holds under `fencing_token`, and that allows `action`.

    Raises TaskNotFound; TaskStatusConflict when the task is over or blocked; and NotHolder,
    LeaseExpired or StaleFencingToken for who does not, or no longer, hold it.
    """
    row = rows.find(tx, task_id)
    if row.status not in ("open", "claimed"):
        rules.require_allowed(action, row.id, row.status, row.reason)
    leasing.check(tx, resources.work(resources.TASK, row.id), fencing_token)
    rules.require_allowed(action, row.id, row.status, row.reason)
    return row


def leases_for(tx: Transaction, task_id: str, agent_id: str) -> list[Lease]:
    """What an agent holds for a task: the claim, and every lock for it that is not ended."""
    return [leasing.as_lease(row) for row in _rows_for(tx, task_id, agent_id)]


def _rows_for(tx: Transaction, task_id: str, agent_id: str) -> Sequence[Row[Any]]:
    return tx.execute(_FOR_TASK, {"ws": tx.workspace_id, "agent": agent_id, "task": task_id}).all()


def part(
    tx: Transaction, row: Row[Any], outcome: Ending, reason: str, ended: EndedReason = "released"
) -> None:
    """End the hold of a claimed task: its lease, the locks held for it, and the attempt."""
    held = [as_lease_to_end(tx, lease) for lease in _rows_for(tx, row.id, row.agent_id)]
    leasing.end(tx, held, ended, reason[:_NOTE_CHARS])
    rows.end_attempt(tx, row, outcome, reason)


_NOTE_CHARS = 200  # of a reason, in the events of its leases; the whole stands in the task's
