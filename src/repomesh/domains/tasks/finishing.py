"""Operations that end a hold or a task: complete, fail, release, block, unblock, cancel."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.domains.leases.errors import LeaseExpired, NotHolder, StaleFencingToken
from repomesh.domains.messaging.reviews.rows import has_approved_review
from repomesh.domains.tasks import blocking, holding, rows, rules
from repomesh.domains.tasks.errors import (
    DependenciesUnmet,
    FencingTokenMissing,
    NotYourTask,
    ReviewRequired,
    TaskNotFound,
    TaskStatusConflict,
)
from repomesh.domains.tasks.models import (
    TASK_BLOCKED,
    TASK_CANCELLED,
    TASK_COMPLETED,
    TASK_FAILED,
    TASK_RELEASED,
    TASK_UNBLOCKED,
    BlockTask,
    CancelTask,
    CompleteTask,
    FailTask,
    FinishedTask,
    FinishTask,
    ReleaseTask,
    Task,
    UnblockTask,
)
from repomesh.kernel.operation import Post, Tool, command
from repomesh.store.transaction import Transaction

_HOLD_ERRORS = (TaskNotFound, TaskStatusConflict, NotHolder, StaleFencingToken, LeaseExpired)


@command(
    "task.complete",
    http=Post("/v1/tasks/{task_id}/complete"),
    scope="tasks:write",
    errors=(*_HOLD_ERRORS, DependenciesUnmet, ReviewRequired),
    needs_agent=True,
)
def complete_task(tx: Transaction, request: CompleteTask) -> Task:
    """Complete a task. Its locks are released, and tasks of which it was the last dependency are ready."""
    row = holding.require_hold(tx, "complete", request.task_id, request.fencing_token)
    if row.unmet:
        unmet = rows.unmet_dependencies(tx, row.id)
        raise DependenciesUnmet(
            f"task {row.id} was made to wait for {len(unmet)} that are not done: {', '.join(unmet[:5])}",
            unmet=unmet,
        )
    if row.review_required and not has_approved_review(tx, row.id):
        raise ReviewRequired(f"task {row.id} needs an approved review before it completes")
    holding.end_hold(tx, row, "done", "")
    task = rows.change(tx, row, status="done", result=request.result, percent=100)
    rows.emit_changed(tx, TASK_COMPLETED, task)
    rows.complete_dependency(tx, task.id)
    return task


@command(
    "task.fail",
    http=Post("/v1/tasks/{task_id}/fail"),
    scope="tasks:write",
    errors=_HOLD_ERRORS,
    needs_agent=True,
)
def fail_task(tx: Transaction, request: FailTask) -> Task:
    """Mark a task as failed. With `retry` it is open again, until its attempts are used up.

    Tasks that depend on a failed task are blocked until their dependencies are changed.
    """
    row = holding.require_hold(tx, "fail", request.task_id, request.fencing_token)
    holding.end_hold(tx, row, "failed", request.reason)
    if not request.retry:
        task = rows.change(tx, row, status="failed", reason=request.reason)
        rows.emit_changed(tx, TASK_FAILED, task, request.reason, severity="error")
        blocking.block_dependents(tx, task)
        return task
    attempts = row.attempts + 1
    if rules.status_after_loss(attempts, row.max_attempts) == "open":
        return _reopen(tx, row, request.reason, attempts=attempts)
    failure_reason = rows.describe_losses(tx, row.id, attempts)
    task = rows.change(tx, row, status="failed", attempts=attempts, reason=failure_reason)
    rows.emit_changed(tx, TASK_FAILED, task, failure_reason, severity="error")
    blocking.block_dependents(tx, task)
    return task


@command(
    "task.release",
    http=Post("/v1/tasks/{task_id}/release"),
    scope="tasks:write",
    errors=_HOLD_ERRORS,
    needs_agent=True,
)
def release_task(tx: Transaction, request: ReleaseTask) -> Task:
    """Give a task back unfinished. It does not count as an attempt."""
    row = holding.require_hold(tx, "release", request.task_id, request.fencing_token)
    holding.end_hold(tx, row, "released", request.reason)
    return _reopen(tx, row, request.reason)


@command(
    "task.block",
    http=Post("/v1/tasks/{task_id}/block"),
    scope="tasks:write",
    errors=(*_HOLD_ERRORS, FencingTokenMissing),
)
def block_task(tx: Transaction, request: BlockTask) -> Task:
    """Mark a task as blocked; its holder loses the claim.

    A task that is held is blocked by its holder, with the fencing token, or by the workspace's owner.
    """
    if request.fencing_token is not None:
        row = holding.require_hold(tx, "block", request.task_id, request.fencing_token)
    else:
        row = rows.find(tx, request.task_id)
        rules.require_allowed("block", row.id, row.status, row.reason)
        if row.status == "claimed" and not holding.is_owner(tx):
            raise FencingTokenMissing(f"fencing_token: {row.agent_name} holds task {row.id}")
    return block(tx, row, request.reason, by_holder=request.fencing_token is not None)


def block(tx: Transaction, row: Row[Any], reason: str, *, by_holder: bool = False) -> Task:
    """Block a task that may be blocked, whoever holds it: the holder loses its claim."""
    if row.status == "claimed":
        holding.end_hold(tx, row, "blocked", reason, "released" if by_holder else "forced")
    task = rows.change(tx, row, status="blocked", reason=reason, **rows.NOBODY)
    rows.emit_changed(tx, TASK_BLOCKED, task, reason, severity="warning")
    return task


@command(
    "task.unblock",
    http=Post("/v1/tasks/{task_id}/unblock"),
    scope="tasks:write",
    errors=(TaskNotFound, TaskStatusConflict, DependenciesUnmet),
)
def unblock_task(tx: Transaction, request: UnblockTask) -> Task:
    """Unblock a task: it is open again.

    A task that depends on a failed or cancelled task opens when its dependencies are changed.
    """
    row = rows.find(tx, request.task_id)
    rules.require_allowed("unblock", row.id, row.status, row.reason)
    block_reasons = blocking.reasons_to_block(tx, row.id)
    if block_reasons:
        raise DependenciesUnmet(
            f"task {row.id} would never get ready: {block_reasons[0]}",
            hint="Change its dependencies, which opens it, or cancel it.",
            unmet=rows.unmet_dependencies(tx, row.id),
        )
    task = rows.change(tx, row, status="open", reason=request.reason)
    rows.emit_changed(tx, TASK_UNBLOCKED, task, request.reason)
    return task


@command(
    "task.cancel",
    http=Post("/v1/tasks/{task_id}/cancel"),
    scope="tasks:write",
    errors=(TaskNotFound, TaskStatusConflict, NotYourTask),
)
def cancel_task(tx: Transaction, request: CancelTask) -> Task:
    """Cancel a task. A task that is claimed: only its holder, its creator or the owner.

    Tasks that depend on a cancelled task are blocked until their dependencies are changed.
    """
    row = rows.find(tx, request.task_id)
    rules.require_allowed("cancel", row.id, row.status, row.reason)
    holding.require_change_allowed(tx, row)
    return cancel(tx, request)


def cancel(tx: Transaction, request: CancelTask) -> Task:
    """Cancel a task, whoever holds it, and block its dependents. Raises TaskNotFound."""
    row = rows.find(tx, request.task_id)
    if row.status == "claimed":
        by_holder = tx.caller.agent_id == row.agent_id
        holding.end_hold(tx, row, "cancelled", request.reason, "released" if by_holder else "forced")
    task = rows.change(tx, row, status="cancelled", reason=request.reason)
    rows.emit_changed(tx, TASK_CANCELLED, task, request.reason, severity="warning")
    blocking.block_dependents(tx, task)
    return task


@command(
    "task.finish",
    http=Post("/v1/tasks/{task_id}/finish"),
    tool=Tool(
        "finish_task",
        "End your work on a task: done (with result), failed, released or blocked (with reason).",
        fields=("task_id", "fencing_token", "outcome", "result", "reason", "retry"),
    ),
    scope="tasks:write",
    errors=(*_HOLD_ERRORS, DependenciesUnmet, ReviewRequired),
    needs_agent=True,
)
def finish_task(tx: Transaction, request: FinishTask) -> FinishedTask:
    """Complete, fail, release or block a task with one operation."""
    task = _finish(tx, request)
    return FinishedTask(**task.model_dump(include=set(FinishedTask.model_fields)))


def _finish(tx: Transaction, request: FinishTask) -> Task:
    holder_fields = {"task_id": request.task_id, "fencing_token": request.fencing_token}
    if request.outcome == "done":
        return complete_task(tx, CompleteTask(**holder_fields, result=request.result))
    if request.outcome == "failed":
        return fail_task(tx, FailTask(**holder_fields, reason=request.reason, retry=request.retry))
    if request.outcome == "released":
        return release_task(tx, ReleaseTask(**holder_fields, reason=request.reason))
    return block_task(tx, BlockTask(**holder_fields, reason=request.reason))


def _reopen(tx: Transaction, row: Row[Any], reason: str, **columns: Any) -> Task:
    task = rows.change(tx, row, status="open", reason=reason, **columns, **rows.NOBODY)
    rows.emit_changed(tx, TASK_RELEASED, task, reason)
    return blocking.block_if_never_ready(tx, task)
