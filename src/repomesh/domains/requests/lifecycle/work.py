"""The tasks of a request on the board: made from its plan, blocked, cancelled, and how they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row

from repomesh.domains.changes import rows as change_rows
from repomesh.domains.changes.models import ChangeState
from repomesh.domains.changes.queue import placing
from repomesh.domains.changes.rules import ALLOWED as CHANGE_ALLOWED
from repomesh.domains.changes.rules import Placement
from repomesh.domains.messaging.messages.sending import system_notice
from repomesh.domains.requests.lifecycle import role_tasks, rows, rules
from repomesh.domains.requests.lifecycle.models import Brief
from repomesh.domains.requests.lifecycle.rules import Role, TaskFacts
from repomesh.domains.requests.planning.models import Plan, PlannedTask
from repomesh.domains.requests.planning.ordering import topological
from repomesh.domains.tasks import blocking, finishing
from repomesh.domains.tasks import rows as task_rows
from repomesh.domains.tasks.models import CancelTask, CreateTask, Task, UnblockTask
from repomesh.domains.tasks.operations import create_task
from repomesh.domains.tasks.rules import ALLOWED as TASK_ALLOWED
from repomesh.kernel import limits
from repomesh.store.transaction import Transaction

_STOPPED = "request stopped"
_ROLES: tuple[Role, ...] = ("engineer", "orchestrator", "developer")


def create_tasks(tx: Transaction, row: Row[Any], brief: Brief, plan: Plan) -> None:
    """Put each task of a plan on the board, after those that it depends on."""
    planned = {task.key: task for task in plan.tasks}
    developer = role_tasks.find_developer(tx, row)
    ids: dict[str, str] = {}
    assigned: dict[str, list[Task]] = defaultdict(list)
    order = topological({task.key: set(task.dependencies) for task in plan.tasks})
    for position, key in enumerate(order):
        needs = [ids[dependency] for dependency in planned[key].dependencies]
        task = _create_task(tx, row, brief, planned[key], needs, developer)
        rows.link_task(tx, row.id, task.id, key, position=position)
        ids[key] = task.id
        if task.assignee_id is not None:
            assigned[task.assignee_id].append(task)
    for agent_id, tasks in assigned.items():
        lines = [f"Claim the tasks of request {row.id} with take_locks:"]
        lines += [f"- {task.id}: {task.goal}" for task in tasks]
        subject = f"{len(tasks)} task(s): {row.title}"[: limits.LABEL_CHARS_MAX]
        system_notice(tx, [agent_id], subject, "\n".join(lines), tags=("request",))


def _create_task(
    tx: Transaction,
    row: Row[Any],
    brief: Brief,
    planned: PlannedTask,
    needs: Sequence[str],
    developer: tuple[str | None, str | None],
) -> Task:
    agent, capability = developer
    request = CreateTask(
        goal=rules.title_of(planned.goal),
        description=describe_task(row, brief, planned)[: limits.TASK_TEXT_CHARS_MAX],
        type=row.request_class,
        priority=row.priority,
        dependencies=tuple(needs),
        scope=planned.owned,
        tags=("request",),
        capabilities=(capability,) if capability else (),
        agent=agent,
    )
    return create_task(tx, request)


def describe_task(row: Row[Any], brief: Brief, planned: PlannedTask) -> str:
    """The description of a task on the board, in Markdown: what it is part of, what it owns, what ends it."""
    parts = [
        f"Part '{planned.key}' of request {row.id}: {row.title}",
        planned.goal,
        f"Goal of the request: {brief.goal}",
        *_list("Not part of it", brief.scope_out),
        *_list("Keep to", brief.constraints),
        *_list("Files that only this task changes", planned.files),
        *_list("New files that it may make", planned.new_files),
        *_list("Read, and do not change", planned.read_only_context),
        *_list("It is done when", planned.acceptance),
        *_list("Checks to run", planned.checks),
        "Commit the work and hand it to the merge queue with this task's id and fencing token. Complete the "
        "task when the change has landed.",
    ]
    return "\n\n".join(parts)


def _list(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return ["\n".join([f"{title}:", *lines])] if lines else []


def facts_of(tx: Transaction, request_id: str) -> list[TaskFacts]:
    """How the tasks of a request's plan and their changes stand."""
    states: dict[str, list[ChangeState]] = defaultdict(list)
    for change in rows.changes_of(tx, request_id):
        states[change.task_key].append(change.state)
    return [
        TaskFacts(task.plan_key, task.status, task.reason, states[task.plan_key])
        for task in rows.tasks_of(tx, request_id)
    ]


def block_tasks(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """Block the tasks of a stopped request, whoever holds them; returns the request's row unchanged."""
    for task in _all_tasks(tx, row.id):
        if task.status in TASK_ALLOWED["block"]:
            finishing.block(tx, task_rows.find(tx, task.id), f"{_STOPPED}: {row.stopped_reason}")
    return row


def unblock_tasks(tx: Transaction, row: Row[Any]) -> None:
    """Open the tasks again that `block_tasks` blocked, but those that wait for a task that failed."""
    for task in _all_tasks(tx, row.id):
        was_stopped = task.status == "blocked" and task.reason.startswith(_STOPPED)
        if was_stopped and not blocking.reasons_to_block(tx, task.id):
            finishing.unblock_task(tx, UnblockTask(task_id=task.id, reason="the request goes on"))


def cancel_work(tx: Transaction, row: Row[Any], reason: str) -> None:
    """Cancel the open tasks of a request, and withdraw their changes that have not landed."""
    for task in _all_tasks(tx, row.id):
        if task.status in TASK_ALLOWED["cancel"]:
            finishing.cancel(tx, CancelTask(task_id=task.id, reason=reason))
    for change in rows.changes_of(tx, row.id):
        if change.state in CHANGE_ALLOWED["withdraw"]:
            tx.caller.require("changes:write")
            withdrawn = Placement("withdrawn", reason)
            change_rows.set_state(tx, change_rows.find(tx, change.id), withdrawn, reason)
            placing.reassess_dependants(tx, change.id)


def _all_tasks(tx: Transaction, request_id: str) -> list[Row[Any]]:
    return [task for role in _ROLES for task in rows.tasks_of(tx, request_id, role)]
