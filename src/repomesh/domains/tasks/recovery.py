"""Takes back tasks whose holder is gone: its lease expired, or it was ended from outside."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, bindparam, or_, select

from repomesh.domains.leases import resources
from repomesh.domains.leases.models import EndedReason
from repomesh.domains.leases.tables import leases
from repomesh.domains.tasks import holding, rows, rules
from repomesh.domains.tasks.models import (
    TASK_FAILED,
    TASK_RECLAIMED,
    Reclaimed,
    TaskReclaimed,
)
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.kernel.clock import rfc3339
from repomesh.store.log import NewEvent
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_held, _task = leases.c, tasks.c
_CLAIM = and_(
    _held.workspace_id == _task.workspace_id,
    _held.fencing_token == _task.fencing_token,
    _held.resource_type == resources.TASK,
    _held.resource == _task.id,
)
_LOST = Prepared(
    select(tasks)
    .outerjoin(leases, _CLAIM)
    .where(_task.workspace_id == bindparam("ws"), _task.status == "claimed")
    .where(or_(_held.id.is_(None), _held.ended_at.is_not(None), _held.expires_at <= bindparam("now")))
    .order_by(_task.id)
    .limit(bindparam("count"))
)
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


def reclaim_lost(tx: Transaction) -> list[Reclaimed]:
    """Take back tasks whose lease is over: open again, or failed when lost too often.

    It runs in the transaction that ended the leases, so that nobody passes over a task that is free.
    """
    here = {"ws": tx.workspace_id, "now": tx.now, "count": limits.RECLAIM_MAX}
    return [reclaim(tx, row) for row in tx.execute(_LOST, here).all()]


def reclaim_expired(tx: Transaction) -> None:
    """Take back what expired since the last sweep, so that who asks for work is offered that, too."""
    here = {"ws": tx.workspace_id, "now": tx.now, "count": limits.RECLAIM_MAX}
    for lease in tx.execute(_EXPIRED, here).all():
        row = rows.find(tx, lease.resource)
        if row.status == "claimed" and row.fencing_token == lease.fencing_token:
            reclaim(tx, row)


def reclaim(tx: Transaction, row: Row[Any]) -> Reclaimed:
    """Take back one claimed task whose lease no longer holds, with all that was locked for it."""
    reason, why = _why(tx, row)
    holding.part(tx, row, "lost", why, reason)
    attempts = row.attempts + 1
    status = rules.after_loss(attempts, row.max_attempts)
    if status == "open":
        task = rows.change(tx, row, attempts=attempts, status=status, reason=why, **rows.NOBODY)
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
        rows.tell(tx, TASK_FAILED, task, task.reason, severity="error")
    return Reclaimed(
        task_id=task.id,
        goal=task.goal,
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        why=why,
        status=status,
    )


def _why(tx: Transaction, row: Row[Any]) -> tuple[EndedReason, str]:
    """Why the claim of a task is over, as a lease's reason and in words."""
    claim = {"ws": tx.workspace_id, "token": row.fencing_token, "task": row.id}
    lease = tx.execute(_LEASE, claim).one_or_none()
    if lease is None:
        return "expired", "its lease is over"
    if lease.ended_at is None:
        return "expired", f"its lease expired at {rfc3339(lease.expires_at)}"
    return lease.ended_reason, f"its lease {_IN_WORDS[lease.ended_reason]} at {rfc3339(lease.ended_at)}"


_IN_WORDS: dict[str, str] = {
    "released": "was given back",
    "expired": "expired",
    "abandoned": "was reclaimed because the agent went silent",
    "revoked": "was reclaimed because the agent's token was revoked",
    "forced": "was ended by an admin",
}
