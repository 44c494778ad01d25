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

# What each action may begin from. What it leads to stands with the action itself; done, failed and
# cancelled allow nothing any more.
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
"""The ends of a task after which it is never done, and what depends on it never ready."""

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


def possible(status: TaskStatus) -> list[Action]:
    """What can be done with a task of this status."""
    return [action for action, statuses in ALLOWED.items() if status in statuses]


def require_allowed(action: Action, task_id: str, status: TaskStatus, reason: str = "") -> None:
    """Raise TaskStatusConflict unless a task of `status` allows `action`."""
    if status in ALLOWED[action]:
        return
    choices = possible(status)
    because = f" ({reason})" if reason and status != "open" else ""
    allowed = f"possible now: {', '.join(choices)}" if choices else "nothing changes it any more"
    raise TaskStatusConflict(
        f"task {task_id} is {status}{because} and can't be {_ATTEMPTED[action]}; {allowed}",
        task_status=status,
        possible=choices,
    )


def find_cycle(
    task_id: str, dependencies: Iterable[str], edges: Iterable[tuple[str, str]]
) -> list[str] | None:
    """A shortest way from `task_id` back to itself, once it had `dependencies`; None when there is none.

    `edges` are (task, what it depends on), at least those that can be reached from `dependencies`; what
    they say of `task_id` itself is what it depended on before, and does not count.
    """
    following: dict[str, list[str]] = {}
    for task, depends_on in edges:
        following.setdefault(task, []).append(depends_on)
    following[task_id] = list(dependencies)
    came_from: dict[str, str] = {}
    queue = deque([task_id])
    while queue:
        here = queue.popleft()
        for there in following.get(here, ()):
            if there == task_id:
                return _way_back(task_id, here, came_from)
            if there not in came_from:
                came_from[there] = here
                queue.append(there)
    return None


def _way_back(task_id: str, last: str, came_from: Mapping[str, str]) -> list[str]:
    way = [task_id]
    while last != task_id:
        way.append(last)
        last = came_from[last]
    return [task_id, *reversed(way)]


def refuse_cycle(task_id: str, dependencies: Sequence[str], edges: Iterable[tuple[str, str]]) -> None:
    """Raise DependencyCycle, naming the cycle, when `dependencies` of the task would close one."""
    cycle = find_cycle(task_id, dependencies, edges)
    if cycle is None:
        return
    named = cycle
    if len(cycle) > limits.TASK_CYCLE_NAMED_MAX:
        half = limits.TASK_CYCLE_NAMED_MAX // 2
        named = [*cycle[:half], f"{len(cycle) - 2 * half} more", *cycle[-half:]]
    raise DependencyCycle(
        f"these would wait for each other: {' → '.join(named)}", cycle=cycle[: limits.LIST_ITEMS_MAX]
    )


def dependency_ended(task_id: str, goal: str, status: TaskStatus, reason: str) -> str:
    """Why a task is blocked that depends on a task which ended as one of NEVER_DONE."""
    ended = "was cancelled" if status == "cancelled" else "failed"
    because = f": {reason}" if reason else ""
    return f"its dependency '{goal}' ({task_id}) {ended}{because}"[: limits.REASON_CHARS_MAX]


def missing_capabilities(needed: Iterable[str], held: Iterable[str]) -> list[str]:
    """What a task needs and an agent does not have, in the task's order."""
    have = set(held)
    return [capability for capability in needed if capability not in have]


def after_loss(attempts: int, max_attempts: int) -> TaskStatus:
    """What a task becomes that has lost its holder `attempts` times: open again, or failed."""
    return "failed" if attempts >= max_attempts else "open"
