"""Blocks tasks whose dependency failed or was cancelled, until it is replaced.

Such a dependency is never done. If they stayed open, they would wait for ever, and nobody would know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, or_, select

from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.domains.tasks import rows, rules
from repomesh.domains.tasks.models import TASK_BLOCKED, TASK_UNBLOCKED, Task
from repomesh.domains.tasks.tables import task_dependencies, tasks
from repomesh.kernel import limits
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_edges = task_dependencies.c
_ENDED = PreparedStatement(
    select(tasks.c.id, tasks.c.goal, tasks.c.status, tasks.c.reason)
    .join(task_dependencies, _edges.depends_on == tasks.c.id)
    .where(_edges.workspace_id == bindparam("ws"), _edges.task_id == bindparam("task"))
    .where(or_(*(tasks.c.status == status for status in rules.NEVER_DONE)))
    .order_by(tasks.c.id)
)
_DEPENDENTS = PreparedStatement(
    select(tasks)
    .join(task_dependencies, _edges.task_id == tasks.c.id)
    .where(_edges.workspace_id == bindparam("ws"), _edges.depends_on == bindparam("task"))
    .where(or_(tasks.c.status == "open", tasks.c.status == "claimed"))
    .order_by(tasks.c.id)
)


def reasons_to_block(tx: Transaction, task_id: str) -> list[str]:
    """Why a task can't get ready: a sentence for each dependency that failed or was cancelled."""
    ended = tx.execute(_ENDED, {"ws": tx.workspace_id, "task": task_id}).all()
    return [rules.describe_ended_dependency(row.id, row.goal, row.status, row.reason) for row in ended]


def block_dependents(tx: Transaction, ended_task: Task) -> None:
    """Block the open tasks that depend on `ended_task`, which failed or was cancelled, and notify agents.

    A task that is claimed stays with its holder, who gets the notice, too: it can't be completed as it is.
    """
    reason = rules.describe_ended_dependency(
        ended_task.id, ended_task.goal, ended_task.status, ended_task.reason
    )
    dependents = tx.execute(_DEPENDENTS, {"ws": tx.workspace_id, "task": ended_task.id}).all()
    for row in dependents:
        if row.status == "open":
            _block(tx, row, reason)
    _notify(tx, dependents, reason, ended_task.id)


def block_if_never_ready(tx: Transaction, task: Task) -> Task:
    """Block an open task if a dependency of it failed or was cancelled; returns the task as it is now."""
    if task.status != "open" or task.ready or not task.dependencies:
        return task
    block_reasons = reasons_to_block(tx, task.id)
    if not block_reasons:
        return task
    row = rows.find(tx, task.id)
    _notify(tx, [row], block_reasons[0], task.id)
    return _block(tx, row, block_reasons[0])


def reblock_or_open(tx: Transaction, task: Task) -> Task:
    """Open a task that old dependencies blocked, or block it for the reason that its new ones give."""
    block_reasons = reasons_to_block(tx, task.id)
    if block_reasons:
        return task if task.reason in block_reasons else _block(tx, rows.find(tx, task.id), block_reasons[0])
    opened_task = rows.change(tx, rows.find(tx, task.id), status="open", reason="")
    rows.emit_changed(tx, TASK_UNBLOCKED, opened_task, "its dependencies were replaced")
    return opened_task


def _block(tx: Transaction, row: Row[Any], reason: str) -> Task:
    task = rows.change(tx, row, status="blocked", reason=reason)
    rows.emit_changed(tx, TASK_BLOCKED, task, reason, severity="warning")
    return task


def _notify(tx: Transaction, dependents: Sequence[Row[Any]], reason: str, task_id: str) -> None:
    """Send one message to each agent but the caller that made, holds or is assigned one of these tasks."""
    rows_by_agent: dict[str, list[Row[Any]]] = {}
    for row in dependents:
        holder = row.agent_id if row.status == "claimed" else None
        for agent_id in {row.created_by, row.assignee_id, holder} - {None, tx.caller.agent_id}:
            rows_by_agent.setdefault(agent_id, []).append(row)
    for agent_id, agent_rows in sorted(rows_by_agent.items()):
        task_lines = [f"- {row.goal} ({row.id})" for row in agent_rows[: limits.BLOCKED_NAMED_MAX]]
        if len(agent_rows) > len(task_lines):
            task_lines.append(f"- and {len(agent_rows) - len(task_lines)} more")
        advice = "Give them other dependencies (task.update), or cancel them."
        body = "\n".join((f"These tasks can't get ready: {reason}", *task_lines, advice))
        system_notice(tx, [agent_id], "Tasks are blocked", body, tags=["task-blocked"], task_id=task_id)
