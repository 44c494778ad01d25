"""Takes back tasks from holders whose lease expired or was ended by somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select

from repomesh.domains.leases import resources
from repomesh.domains.leases.models import EndedReason, Lease
from repomesh.domains.leases.tables import leases
from repomesh.domains.tasks import blocking, holding, rows, rules
from repomesh.domains.tasks.errors import TaskNotFound
from repomesh.domains.tasks.models import (
    TASK_FAILED,
    TASK_RECLAIMED,
    Reclaimed,
    TaskChanged,
    TaskReclaimed,
)
from repomesh.kernel import limits
from repomesh.kernel.clock import rfc3339
from repomesh.store.damage import DAMAGE_ERRORS, note_damage
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_lease_columns = leases.c
# A claim asks this each time, so it reads the index of what is to expire and nothing else.
_EXPIRED = PreparedStatement(
    select(_lease_columns.resource, _lease_columns.fencing_token)
    .where(
        _lease_columns.workspace_id == bindparam("ws"),
        _lease_columns.ended_at.is_(None),
        _lease_columns.expires_at <= bindparam("now"),
        _lease_columns.resource_type == resources.TASK,
    )
    .order_by(_lease_columns.expires_at)
    .limit(bindparam("count"))
)
_LEASE = PreparedStatement(
    select(leases).where(
        _lease_columns.workspace_id == bindparam("ws"),
        _lease_columns.fencing_token == bindparam("token"),
        _lease_columns.resource_type == resources.TASK,
        _lease_columns.resource == bindparam("task"),
    )
)


def reclaim_ended(tx: Transaction, ended_leases: Sequence[Lease]) -> None:
    """Take back each task whose claim is among these ended leases: open again, or failed when lost too often.

    A task that is over, or that somebody claimed since, stays as it is.
    """
    for lease in ended_leases:
        if lease.resource_type == resources.TASK:
            _reclaim_if_held(tx, lease.resource, lease.fencing_token)


def reclaimed_tasks(events: Sequence[NewEvent]) -> list[Reclaimed]:
    """The tasks that were taken back according to `events`, each as it is after the last of them."""
    tasks_by_id: dict[str, Reclaimed] = {}
    for event in events:
        data = event.data
        if isinstance(data, TaskReclaimed):
            tasks_by_id[data.task.id] = Reclaimed(
                task_id=data.task.id,
                goal=data.task.goal,
                agent_id=data.agent_id,
                agent_name=data.agent_name,
                why=data.why,
                status=data.task.status,
            )
        elif isinstance(data, TaskChanged) and data.task.id in tasks_by_id:
            tasks_by_id[data.task.id] = tasks_by_id[data.task.id].model_copy(
                update={"status": data.task.status}
            )
    return list(tasks_by_id.values())


def reclaim_expired(tx: Transaction) -> None:
    """Take back tasks whose lease expired since the last sweep, so that they can be claimed at once."""
    params = {"ws": tx.workspace_id, "now": tx.now, "count": limits.RECLAIM_MAX}
    for lease in tx.execute(_EXPIRED, params).all():
        _reclaim_if_held(tx, lease.resource, lease.fencing_token)


def _reclaim_if_held(tx: Transaction, task_id: str, fencing_token: int) -> None:
    """Take back a task if it has this claim; one that can't be read is noted as damaged and left as it is."""
    try:
        row = rows.find(tx, task_id)
        rows.as_task(row)  # fails before anything is written: other tasks are taken back in this transaction
    except (TaskNotFound, *DAMAGE_ERRORS) as error:
        note_damage(tx, f"task/{task_id}", error)
        return
    if row.status == "claimed" and row.fencing_token == fencing_token:
        reclaim_task(tx, row)


def reclaim_task(tx: Transaction, row: Row[Any]) -> None:
    """Take back one claimed task whose lease no longer holds, with all that was locked for it."""
    reason, why = _describe_loss(tx, row)
    holding.end_hold(tx, row, "lost", why, reason)
    attempts = row.attempts + 1
    status = rules.status_after_loss(attempts, row.max_attempts)
    if status == "open":
        task = rows.change(tx, row, attempts=attempts, status="open", reason=why, **rows.NOBODY)
    else:
        failure_reason = rows.describe_losses(tx, row.id, attempts)
        task = rows.change(tx, row, attempts=attempts, status=status, reason=failure_reason)
    data = TaskReclaimed(task=task, agent_id=row.agent_id, agent_name=row.agent_name, why=why)
    tx.emit(
        NewEvent(
            TASK_RECLAIMED,
            f"task/{task.id}",
            data,
            task_id=task.id,
            recipient_id=row.agent_id,
            severity="warning",
        )
    )
    if status == "failed":
        rows.emit_changed(tx, TASK_FAILED, task, task.reason, severity="error")
        blocking.block_dependents(tx, task)
    else:
        blocking.block_if_never_ready(tx, task)


def _describe_loss(tx: Transaction, row: Row[Any]) -> tuple[EndedReason, str]:
    """Why the claim of a task is over: the reason of its lease, and a sentence."""
    claim_key = {"ws": tx.workspace_id, "token": row.fencing_token, "task": row.id}
    lease = tx.execute(_LEASE, claim_key).one_or_none()
    if lease is None:
        return "expired", "its lease is over"
    if lease.ended_at is None:
        return "expired", f"its lease expired{_time_part(lease.expires_at)}"
    return lease.ended_reason, f"its lease {_REASON_TEXTS[lease.ended_reason]}{_time_part(lease.ended_at)}"


def _time_part(moment: object) -> str:
    """A part of a sentence that says when; empty for a time that can't be read."""
    return f" at {rfc3339(moment)}" if isinstance(moment, datetime) else ""


_REASON_TEXTS: dict[str, str] = {
    "released": "was given back",
    "expired": "expired",
    "abandoned": "was reclaimed because the agent went silent",
    "revoked": "was reclaimed because the agent's token was revoked",
    "forced": "was ended by an admin",
}
