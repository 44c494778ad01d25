"""Pure decisions about tasks: what a status allows, what depends on what, and what is next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from repomesh.domains.tasks.errors import DependencyCycle, TaskStatusConflict
from repomesh.domains.tasks.models import TaskStatus
from repomesh.kernel import limits

Action = Literal[
    "claim", "renew", "progress", "release", "complete", "fail", "block", "unblock", "cancel", "update"
]

# The statuses from which each action is allowed; done, failed and cancelled allow none.
ALLOWED: Mapping[Action, frozenset[TaskStatus]] = {
    "claim": frozenset({"open"}),
    "renew": frozenset({"claimed"}),
    "progress": frozenset({"claimed"}),
    "release": frozenset({"claimed"}),
    "complete": frozenset({"claimed"}),
    "fail": frozenset({"claimed"}),
    "block": frozenset({"open", "claimed"}),
    "unblock": frozenset({"blocked"}),
    "cancel": frozenset({"open", "claimed", "blocked"}),
    "update": frozenset({"open", "claimed", "blocked"}),
}

NEVER_DONE: tuple[TaskStatus, ...] = ("failed", "cancelled")
"""Final statuses of a task that is never done, so that its dependents are never ready."""

_ATTEMPTED = {
    "claim": "claimed",
    "renew": "renewed",
    "progress": "reported on",
    "release": "released",
    "complete": "completed",
    "fail": "failed",
    "block": "blocked",
    "unblock": "unblocked",
    "cancel": "cancelled",
    "update": "changed",
}


def possible_actions(status: TaskStatus) -> list[Action]:
    """The actions that a task of this status allows."""
    return [action for action, statuses in ALLOWED.items() if status in statuses]


def require_allowed(action: Action, task_id: str, status: TaskStatus, reason: str = "") -> None:
    """Raise TaskStatusConflict unless a task of `status` allows `action`."""
    if status in ALLOWED[action]:
        return
    choices = possible_actions(status)
    reason_part = f" ({reason})" if reason and status != "open" else ""
    allowed_part = f"possible now: {', '.join(choices)}" if choices else "nothing changes it any more"
    raise TaskStatusConflict(
        f"task {task_id} is {status}{reason_part} and can't be {_ATTEMPTED[action]}; {allowed_part}",
        task_status=status,
        possible=choices,
    )


def find_cycle(
    task_id: str, dependencies: Iterable[str], edges: Iterable[tuple[str, str]]
) -> list[str] | None:
    """The shortest cycle from `task_id` back to itself if it had `dependencies`; None when there is none.

    `edges` are pairs of a task and its dependency, at least those that can be reached from `dependencies`.
    Edges of `task_id` itself are its old dependencies and do not count.
    """
    dependencies_by_task: dict[str, list[str]] = {}
    for edge_task_id, depends_on in edges:
        dependencies_by_task.setdefault(edge_task_id, []).append(depends_on)
    dependencies_by_task[task_id] = list(dependencies)
    previous_by_id: dict[str, str] = {}
    queue = deque([task_id])
    while queue:
        current_id = queue.popleft()
        for dependency_id in dependencies_by_task.get(current_id, ()):
            if dependency_id == task_id:
                return _trace_cycle(task_id, current_id, previous_by_id)
            if dependency_id not in previous_by_id:
                previous_by_id[dependency_id] = current_id
                queue.append(dependency_id)
    return None


def _trace_cycle(task_id: str, last_id: str, previous_by_id: Mapping[str, str]) -> list[str]:
    path_ids = [task_id]
    while last_id != task_id:
        path_ids.append(last_id)
        last_id = previous_by_id[last_id]
    return [task_id, *reversed(path_ids)]


def refuse_cycle(task_id: str, dependencies: Sequence[str], edges: Iterable[tuple[str, str]]) -> None:
    """Raise DependencyCycle, which names the cycle, when `dependencies` of the task would close one."""
    cycle = find_cycle(task_id, dependencies, edges)
    if cycle is None:
        return
    shown_ids = cycle
    if len(cycle) > limits.TASK_CYCLE_NAMED_MAX:
        half = limits.TASK_CYCLE_NAMED_MAX // 2
        shown_ids = [*cycle[:half], f"{len(cycle) - 2 * half} more", *cycle[-half:]]
    raise DependencyCycle(
        f"these would wait for each other: {' → '.join(shown_ids)}", cycle=cycle[: limits.LIST_ITEMS_MAX]
    )


def describe_ended_dependency(task_id: str, goal: str, status: TaskStatus, reason: str) -> str:
    """The reason for which a dependency that ended as one of NEVER_DONE blocks a task."""
    ended = "was cancelled" if status == "cancelled" else "failed"
    reason_part = f": {reason}" if reason else ""
    return f"its dependency '{goal}' ({task_id}) {ended}{reason_part}"[: limits.REASON_CHARS_MAX]


def missing_capabilities(needed: Iterable[str], agent_capabilities: Iterable[str]) -> list[str]:
    """The capabilities that a task needs and an agent does not have, in the task's order."""
    agent_set = set(agent_capabilities)
    return [capability for capability in needed if capability not in agent_set]


def status_after_loss(attempts: int, max_attempts: int) -> TaskStatus:
    """The status of a task that has lost its holder `attempts` times: open again, or failed."""
    return "failed" if attempts >= max_attempts else "open"
