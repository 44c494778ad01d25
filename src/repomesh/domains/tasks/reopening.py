"""Opens tasks again that were completed too early: what was done for them did not land."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select, update

from repomesh.domains.agents.tables import agents
from repomesh.domains.tasks import blocking, rows
from repomesh.domains.tasks.models import TASK_REOPENED, TASK_UPDATED, Task
from repomesh.domains.tasks.tables import task_dependencies, tasks
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_edges = task_dependencies.c
_WAITS_AGAIN = (
    tasks.c.workspace_id == bindparam("ws"),
    tasks.c.id.in_(
        select(_edges.task_id).where(
            _edges.workspace_id == bindparam("ws"), _edges.depends_on == bindparam("task")
        )
    ),
    tasks.c.status != "done",
)
_ONE_MORE_UNMET = PreparedStatement(update(tasks).where(*_WAITS_AGAIN).values(unmet=tasks.c.unmet + 1))
_DEPENDENTS = PreparedStatement(select(tasks).where(*_WAITS_AGAIN).order_by(tasks.c.id))
_STATUS = PreparedStatement(select(agents.c.status).where(agents.c.id == bindparam("agent")))


def reopen(tx: Transaction, task_id: str, worker_id: str, reason: str) -> Task | None:
    """Open a task again that an agent completed, with the reason; None when that agent did not complete it.

    While the agent is active the task is assigned to it, so that nobody else claims it meanwhile. Tasks that
    depend on it wait for it again. Raises TaskNotFound.
    """
    row = rows.find(tx, task_id)
    if row.status != "done" or row.agent_id != worker_id:
        return None
    columns: dict[str, Any] = {}
    if tx.execute(_STATUS, {"agent": worker_id}).scalar_one_or_none() == "active":
        columns = {"assignee_id": row.agent_id, "assignee_name": row.agent_name}
    task = rows.change(tx, row, status="open", reason=reason, **columns, **rows.NOBODY)
    rows.emit_changed(tx, TASK_REOPENED, task, reason, severity="warning")
    params = {"ws": tx.workspace_id, "task": task_id}
    if tx.change(_ONE_MORE_UNMET, params):
        for dependent in tx.execute(_DEPENDENTS, params).all():
            waiting = rows.change(tx, dependent)
            rows.emit_changed(tx, TASK_UPDATED, waiting, f"its dependency {task_id} is open again")
    return blocking.block_if_never_ready(tx, task)
