"""Rows of tasks: find and change them, and emit the events of their changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from repomesh.domains.tasks.errors import TaskNotFound
from repomesh.domains.tasks.models import TASK_READY, Attempt, Ending, Task, TaskChanged, TaskReady
from repomesh.domains.tasks.tables import READY, task_attempts, task_dependencies, tasks
from repomesh.kernel import limits
from repomesh.kernel.event_types import Severity
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_BY_ID = PreparedStatement(
    select(tasks).where(tasks.c.id == bindparam("task"), tasks.c.workspace_id == bindparam("ws"))
)
_DEPENDENTS = select(task_dependencies.c.task_id).where(
    task_dependencies.c.workspace_id == bindparam("ws"), task_dependencies.c.depends_on == bindparam("task")
)
_ONE_LESS_UNMET = PreparedStatement(
    update(tasks)
    .where(tasks.c.workspace_id == bindparam("ws"), tasks.c.id.in_(_DEPENDENTS))
    .values(unmet=tasks.c.unmet - 1)
)
_NOW_READY = PreparedStatement(
    select(tasks)
    .where(tasks.c.workspace_id == bindparam("ws"), tasks.c.id.in_(_DEPENDENTS))
    .where(READY)
    .order_by(tasks.c.rank, tasks.c.id)
)
_UNMET = PreparedStatement(
    select(tasks.c.id)
    .join(task_dependencies, task_dependencies.c.depends_on == tasks.c.id)
    .where(
        task_dependencies.c.workspace_id == bindparam("ws"),
        task_dependencies.c.task_id == bindparam("task"),
        tasks.c.status != "done",
    )
    .order_by(tasks.c.id)
)
_HISTORY = PreparedStatement(
    select(task_attempts)
    .where(task_attempts.c.workspace_id == bindparam("ws"), task_attempts.c.task_id == bindparam("task"))
    .order_by(task_attempts.c.fencing_token.desc())
    .limit(bindparam("count"))
)
_END_ATTEMPT = PreparedStatement(
    update(task_attempts)
    .where(
        task_attempts.c.workspace_id == bindparam("ws"),
        task_attempts.c.task_id == bindparam("task"),
        task_attempts.c.fencing_token == bindparam("token"),
    )
    .values(ended_at=bindparam("at"), outcome=bindparam("how"), reason=bindparam("why"))
)
_BEGIN_ATTEMPT = PreparedStatement(insert(task_attempts))

# The columns of a task that nobody holds. The last holder's note stays, for the next one.
NOBODY: dict[str, Any] = {"agent_id": None, "agent_name": None, "fencing_token": None, "percent": None}


def find(tx: Transaction, task_id: str) -> Row[Any]:
    """The row of a task of this workspace; raises TaskNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "task": task_id}).one_or_none()
    if row is None:
        raise TaskNotFound(f"there is no task {task_id}")
    return row


def as_task(row: Row[Any] | Mapping[str, Any]) -> Task:
    """The task in a row of the table."""
    return Task(**task_fields(row))


def task_fields(row: Row[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the task in a row of the table."""
    fields = dict(row) if isinstance(row, Mapping) else row._asdict()
    del fields["workspace_id"]
    fields["priority"] = -fields.pop("rank")
    fields["ready"] = fields.pop("unmet") == 0 and fields["status"] == "open"
    return fields


def change(tx: Transaction, row: Row[Any], **columns: Any) -> Task:
    """Write `columns` of a task and its new version; returns the task as it is now."""
    columns |= {"updated_at": tx.now, "version": row.version + 1}
    values = {f"new_{name}": value for name, value in columns.items()}
    tx.execute(_change_statement(tuple(columns)), values | {"task": row.id})
    return as_task(row._asdict() | columns)


@lru_cache(maxsize=256)
def _change_statement(columns: tuple[str, ...]) -> PreparedStatement:
    """The update that sets `columns`; the operations know about a dozen such sets."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    return PreparedStatement(update(tasks).where(tasks.c.id == bindparam("task")).values(values))


def emit_changed(
    tx: Transaction, type_: str, task: Task, reason: str = "", *, severity: Severity = "info"
) -> None:
    """Emit an event of this type with the task as it is now and the reason of its change."""
    changed = TaskChanged(task=task, reason=reason)
    tx.emit(NewEvent(type_, f"task/{task.id}", changed, task_id=task.id, severity=severity))


def unmet_dependencies(tx: Transaction, task_id: str) -> list[str]:
    """The dependencies of a task that are not done."""
    return list(tx.execute(_UNMET, {"ws": tx.workspace_id, "task": task_id}).scalars())


def complete_dependency(tx: Transaction, task_id: str) -> None:
    """Count one unmet dependency less for each task that waits for this one, and emit which are ready."""
    params = {"ws": tx.workspace_id, "task": task_id}
    if tx.change(_ONE_LESS_UNMET, params) == 0:
        return
    for row in tx.execute(_NOW_READY, params).all():
        emit_ready(tx, change(tx, row), task_id)


def emit_ready(tx: Transaction, task: Task, completed_dependency: str | None = None) -> None:
    """Emit task.ready, which wakes agents that wait for work."""
    ready = TaskReady(task=task, completed_dependency=completed_dependency)
    tx.emit(NewEvent(TASK_READY, f"task/{task.id}", ready, task_id=task.id))


def begin_attempt(tx: Transaction, task: Task) -> None:
    """Insert the attempt of a task's new holder."""
    tx.execute(
        _BEGIN_ATTEMPT,
        {
            "workspace_id": tx.workspace_id,
            "task_id": task.id,
            "fencing_token": task.fencing_token,
            "agent_id": task.agent_id,
            "agent_name": task.agent_name,
            "started_at": tx.now,
            "reason": "",
        },
    )


def end_attempt(tx: Transaction, row: Row[Any], outcome: Ending, reason: str) -> None:
    """Write how the present attempt of a task ended."""
    attempt_key = {"ws": tx.workspace_id, "task": row.id, "token": row.fencing_token}
    tx.execute(_END_ATTEMPT, attempt_key | {"at": tx.now, "how": outcome, "why": reason})


def history(tx: Transaction, task_id: str, count: int = limits.TASK_HISTORY_MAX) -> list[Attempt]:
    """The last attempts of a task, at most `count`, newest first."""
    attempt_rows = tx.execute(_HISTORY, {"ws": tx.workspace_id, "task": task_id, "count": count})
    return [as_attempt(row) for row in attempt_rows]


def as_attempt(row: Row[Any]) -> Attempt:
    """The attempt in a row of the table."""
    fields = row._asdict()
    del fields["workspace_id"], fields["task_id"]
    return Attempt(**fields)


def describe_losses(tx: Transaction, task_id: str, attempts: int) -> str:
    """The reason of a task that failed at its last attempt: that of each loss, oldest first."""
    lost_attempts = [attempt for attempt in history(tx, task_id) if attempt.outcome in ("lost", "failed")]
    reasons = "; ".join(
        f"{attempt.agent_name}: {attempt.reason}" for attempt in reversed(lost_attempts[:attempts])
    )
    return f"lost its holder {attempts} times: {reasons}"[: limits.REASON_CHARS_MAX]
