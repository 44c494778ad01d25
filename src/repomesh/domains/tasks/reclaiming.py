"""Takes back tasks whose holder is gone: its lease expired, or it was ended from outside."""

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
from repomesh.store.damage import UNREADABLE, note
from repomesh.store.log import NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_held = leases.c
# A claim asks this each time, so it reads the index of what is to expire and nothing else.
_EXPIRED = Prepared(
    select(_held.resource, _held.fencing_token)
    .where(
        _held.workspace_id == bindparam("ws"),
        _held.ended_at.is_(None),
        _held.expires_at <= bindparam("now"),
        _held.resource_type == resources.TASK,
    )
    .order_by(_held.expires_at)
    .limit(bindparam("count"))
)
_LEASE = Prepared(
    select(leases).where(
        _held.workspace_id == bindparam("ws"),
        _held.fencing_token == bindparam("token"),
        _held.resource_type == resources.TASK,
        _held.resource == bindparam("task"),
    )
)


def reclaim_ended(tx: Transaction, ended: Sequence[Lease]) -> None:
    """Take back each task whose claim is among these ended leases: open again, or failed when lost too often.

    A task that is over, or that somebody claimed since, stays as it is.
    """
    for lease in ended:
        if lease.resource_type == resources.TASK:
            _reclaim_if_held(tx, lease.resource, lease.fencing_token)


def reclaimed_among(events: Sequence[NewEvent]) -> list[Reclaimed]:
    """The tasks that were taken back according to these events, each as it is after the last of them."""
    found: dict[str, Reclaimed] = {}
    for event in events:
        data = event.data
        if isinstance(data, TaskReclaimed):
            found[data.task.id] = Reclaimed(
                task_id=data.task.id,
                goal=data.task.goal,
                agent_id=data.agent_id,
                agent_name=data.agent_name,
                why=data.why,
                status=data.task.status,
            )
        elif isinstance(data, TaskChanged) and data.task.id in found:
            found[data.task.id] = found[data.task.id].model_copy(update={"status": data.task.status})
    return list(found.values())


def reclaim_expired(tx: Transaction) -> None:
    """Take back what expired since the last sweep, so that who asks for work is offered that, too."""
    here = {"ws": tx.workspace_id, "now": tx.now, "count": limits.RECLAIM_MAX}
    for lease in tx.execute(_EXPIRED, here).all():
        _reclaim_if_held(tx, lease.resource, lease.fencing_token)


def _reclaim_if_held(tx: Transaction, task_id: str, fencing_token: int) -> None:
    """Take back a task with this claim; one that can't be read, or whose lease can't, is left out."""
    try:
        row = rows.find(tx, task_id)
        rows.as_task(row)  # before anything is written, since others are taken back in this transaction
    except (TaskNotFound, *UNREADABLE) as error:
        note(tx, f"task/{task_id}", error)
        return
    if row.status == "claimed" and row.fencing_token == fencing_token:
        reclaim(tx, row)


def reclaim(tx: Transaction, row: Row[Any]) -> None:
    """Take back one claimed task whose lease no longer holds, with all that was locked for it."""
    reason, why = _why(tx, row)
    holding.part(tx, row, "lost", why, reason)
    attempts = row.attempts + 1
    status = rules.after_loss(attempts, row.max_attempts)
    if status == "open":
        task = rows.change(tx, row, attempts=attempts, status="open", reason=why, **rows.NOBODY)
    else:
        why_failed = rows.why_failed(tx, row.id, attempts)
        task = rows.change(tx, row, attempts=attempts, status=status, reason=why_failed)
    lost = TaskReclaimed(task=task, agent_id=row.agent_id, agent_name=row.agent_name, why=why)
    tx.emit(
        NewEvent(
            TASK_RECLAIMED,
            f"task/{task.id}",
            lost,
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


def _why(tx: Transaction, row: Row[Any]) -> tuple[EndedReason, str]:
    """Why the claim of a task is over, as a lease's reason and in words."""
    claim = {"ws": tx.workspace_id, "token": row.fencing_token, "task": row.id}
    lease = tx.execute(_LEASE, claim).one_or_none()
    if lease is None:
        return "expired", "its lease is over"
    if lease.ended_at is None:
        return "expired", f"its lease expired{_at(lease.expires_at)}"
    return lease.ended_reason, f"its lease {_IN_WORDS[lease.ended_reason]}{_at(lease.ended_at)}"


def _at(moment: object) -> str:
    """When, unless it can't be read."""
    return f" at {rfc3339(moment)}" if isinstance(moment, datetime) else ""


_IN_WORDS: dict[str, str] = {
    "released": "was given back",
    "expired": "expired",
    "abandoned": "was reclaimed because the agent went silent",
    "revoked": "was reclaimed because the agent's token was revoked",
    "forced": "was ended by an admin",
}
