"""Pure decisions about requests: what a state allows, what needs a person, and how the work ends.

received → clarifying → briefed → planning → planned → working → done, failed or cancelled
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from repomesh.domains.changes.models import ChangeState
from repomesh.domains.changes.rules import NOT_ENDED as CHANGE_NOT_ENDED
from repomesh.domains.requests.lifecycle.errors import RequestStateConflict
from repomesh.domains.requests.lifecycle.models import (
    ApprovalPolicy,
    Brief,
    RequestClass,
    RequestState,
    RequestWaitsFor,
)
from repomesh.domains.requests.planning.models import Plan
from repomesh.domains.tasks.models import TaskStatus
from repomesh.kernel import limits

Action = Literal["brief", "plan", "approve", "stop", "resume", "cancel"]
Role = Literal["engineer", "orchestrator", "developer"]

NOT_ENDED: tuple[RequestState, ...] = (
    "received",
    "clarifying",
    "briefed",
    "planning",
    "planned",
    "working",
)
"""States of a request of which something may still come."""

ALLOWED: Mapping[Action, frozenset[RequestState]] = {
    "brief": frozenset({"received", "clarifying", "briefed", "planning", "planned"}),
    "plan": frozenset({"planning", "planned"}),
    "approve": frozenset({"clarifying", "briefed", "planned"}),
    "stop": frozenset(NOT_ENDED),
    "resume": frozenset(NOT_ENDED),
    "cancel": frozenset(NOT_ENDED),
}
_ATTEMPTED = {
    "brief": "given another brief",
    "plan": "given another plan",
    "approve": "approved",
    "stop": "stopped",
    "resume": "resumed",
    "cancel": "cancelled",
}


def require_allowed(action: Action, request_id: str, state: RequestState) -> None:
    """Raise RequestStateConflict unless a request in `state` allows `action`."""
    if state in ALLOWED[action]:
        return
    possible = [name for name, states in ALLOWED.items() if state in states]
    choices = f"possible now: {', '.join(possible)}" if possible else "nothing changes it any more"
    raise RequestStateConflict(
        f"request {request_id} is {state} and can't be {_ATTEMPTED[action]}; {choices}",
        state=state,
        possible=possible,
    )


_CLASS_WORDS: tuple[tuple[RequestClass, re.Pattern[str]], ...] = (
    ("bugfix", re.compile(r"\b(fix\w*|bugs?|broken|crash\w*|errors?|fails?|failing|regression)\b")),
    ("refactor", re.compile(r"\b(refactor\w*|renam\w+|clean\s?up|simplif\w+|restructur\w+|extract)\b")),
    ("docs", re.compile(r"\b(docs?|documentation|document|readme|changelog|docstrings?|tutorial)\b")),
)


def detect_class(text: str) -> RequestClass:
    """The class that the first line of a request names by an English word; 'feature' without one."""
    title = title_of(text).lower()
    return next((name for name, words in _CLASS_WORDS if words.search(title)), "feature")


def title_of(text: str) -> str:
    """The first line that is not empty, within the length of a goal."""
    line = text.strip().splitlines()[0].strip()
    line = "".join(character if character.isprintable() else " " for character in line).strip()
    return line[: limits.LABEL_CHARS_MAX] or "Request"


def default_brief(text: str, files: Sequence[str]) -> Brief:
    """The brief of a request for which nobody writes one: its text as the goal."""
    goal = text.strip()
    if len(goal) > limits.PLAN_TEXT_CHARS_MAX:
        goal = goal[: limits.PLAN_TEXT_CHARS_MAX - 1] + "…"
    return Brief(goal=goal, files=tuple(files), acceptance=("All checks of the repository pass.",))


def brief_risks(brief: Brief) -> list[str]:
    """Why a person must approve a brief under the policy 'risk'."""
    return [f"open question: {question}" for question in brief.open_questions]


def plan_risks(plan: Plan, risky_paths: Sequence[str]) -> list[str]:
    """Why a person must approve a plan under the policy 'risk': what it touches, and how much that is."""
    risks = list(risky_paths)
    if len(plan.tasks) > limits.REQUEST_TASKS_UNAPPROVED_MAX:
        risks.append(f"{len(plan.tasks)} tasks, more than {limits.REQUEST_TASKS_UNAPPROVED_MAX}")
    wild = [f"{task.key} ({pattern})" for task in plan.tasks for pattern in task.owned if "*" in pattern]
    if wild:
        risks.append(f"tasks that own files by a pattern: {', '.join(wild[:3])}")
    return risks[: limits.RISK_REASONS_MAX]


def needs_approval(policy: ApprovalPolicy, risks: Sequence[str]) -> bool:
    """Whether a person must approve a document before the request goes on."""
    return policy == "always" or (policy == "risk" and bool(risks))


def strictest(first: ApprovalPolicy, second: ApprovalPolicy) -> ApprovalPolicy:
    """The policy of the two that asks people more often."""
    order: tuple[ApprovalPolicy, ...] = ("always", "risk", "never")
    return min(first, second, key=order.index)


@dataclass(frozen=True, slots=True)
class RequestPlacement:
    """The state in which a request belongs, why, and what would move it."""

    state: RequestState
    reason: str
    next_step: str = ""
    waits_for: RequestWaitsFor | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """How a task of a request and its changes stand."""

    key: str
    status: TaskStatus
    reason: str = ""
    changes: Sequence[ChangeState] = ()


def place_work(tasks: Sequence[TaskFacts]) -> RequestPlacement:
    """Where a request belongs whose tasks are on the board: working, done or failed."""
    done = [task for task in tasks if task.status == "done"]
    landing = [task for task in done if any(state in CHANGE_NOT_ENDED for state in task.changes)]
    if len(done) == len(tasks):
        if not landing:
            return RequestPlacement("done", f"all {len(tasks)} task(s) are done")
        waiting = ", ".join(task.key for task in landing[:5])
        return RequestPlacement(
            "working", f"changes are still to land: {waiting}", "the merge queue lands them", "tasks"
        )
    lost = [task for task in tasks if task.status in ("failed", "cancelled")]
    if lost and not any(task.status in ("open", "claimed") for task in tasks) and not landing:
        first = lost[0]
        why = f": {first.reason}" if first.reason else ""
        return RequestPlacement("failed", f"task '{first.key}' {_ENDED[first.status]}{why}")
    blocked = [task for task in tasks if task.status == "blocked"]
    progress = f"{len(done)} of {len(tasks)} task(s) are done"
    if blocked and not any(task.status in ("open", "claimed") for task in tasks):
        return RequestPlacement(
            "working",
            f"{progress}; '{blocked[0].key}' is blocked: {blocked[0].reason}",
            "unblock the task",
            "person",
        )
    return RequestPlacement("working", progress, "agents claim and complete its tasks", "tasks")


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}
