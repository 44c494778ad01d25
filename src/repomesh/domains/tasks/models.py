"""The words of tasks: work that agents divide, hold for a while, and finish."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.leases import resources
from repomesh.domains.leases.errors import InvalidResource
from repomesh.domains.leases.models import HeldLock
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import (
    Cursor,
    DetailChars,
    FencingToken,
    Label,
    MaxChars,
    PageLimit,
    Reason,
    Tag,
    Tags,
    TtlSeconds,
)
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PATTERN_CHARS_MAX
from repomesh.kernel.operation import Model
from repomesh.kernel.prepared_words import PreparesWords

TaskType = Annotated[
    str,
    StringConstraints(pattern=rf"^[a-z][a-z0-9_]{{0,{limits.TASK_TYPE_CHARS_MAX - 1}}}$"),
    Field(description="feature, bugfix, refactor, docs, research, test, or another lower-case word."),
]
"""What sort of work a task is."""

TaskStatus = Literal["open", "claimed", "blocked", "done", "failed", "cancelled"]

Outcome = Literal["done", "failed", "released", "blocked"]

Ending = Literal["done", "failed", "released", "blocked", "cancelled", "lost"]
"""How one agent's hold of a task ended; `lost` by expiry or because the agent went away."""

Goal = Annotated[Label, StringConstraints(min_length=1)]

TaskText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", max_length=limits.TASK_TEXT_CHARS_MAX)]
"""A description or a result: Markdown."""

Priority = Annotated[
    int,
    Field(
        ge=limits.TASK_PRIORITY_MIN, le=limits.TASK_PRIORITY_MAX, description="Higher goes first; 0 is usual."
    ),
]

MaxAttempts = Annotated[int, Field(ge=1, le=limits.TASK_ATTEMPTS_MAX)]

Percent = Annotated[int, Field(ge=0, le=100)]


def _scope_path(pattern: str) -> str:
    try:
        path_resources = resources.all_paths(pattern)
    except InvalidResource as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return path_resources[0].text if len(path_resources) == 1 else pattern


ScopePath = Annotated[
    str, StringConstraints(min_length=1, max_length=PATTERN_CHARS_MAX), AfterValidator(_scope_path)
]
"""A path pattern from the repository's root, as locks take it."""

Scope = Annotated[tuple[ScopePath, ...], Field(max_length=limits.LIST_ITEMS_MAX)]

Dependencies = Annotated[tuple[Id, ...], Field(max_length=limits.LIST_ITEMS_MAX)]

RequiredReason = Annotated[Reason, StringConstraints(min_length=1)]


class Task(Model):
    """A piece of work: who asked for it, what it waits for, who holds it, and how it ended."""

    id: Id
    goal: str
    description: str
    type: TaskType
    priority: int = Field(description="Higher goes first.")
    status: TaskStatus
    ready: bool = Field(description="Whether it is open and every dependency is done.")
    dependencies: list[Id] = Field(description="Tasks that must be done first.")
    scope: list[str] = Field(description="Path patterns that the work is expected to touch.")
    tags: list[str]
    capabilities: list[str] = Field(description="What an agent must be able to do to claim it.")
    review_required: bool = Field(description="Whether an approved review must exist before it completes.")
    max_attempts: int = Field(description="It fails when it has lost its holder this often.")
    attempts: int = Field(description="How often it lost its holder.")
    assignee_id: Id | None = Field(None, description="The only agent that may claim it; null for any.")
    assignee_name: str | None = None
    agent_id: Id | None = Field(description="The holder, or the last one when the task ended.")
    agent_name: str | None
    fencing_token: int | None = Field(description="The fencing token of the current claim.")
    percent: int | None = Field(description="Progress in percent, as the holder reported it.")
    note: str = Field(description="The holder's last progress note.")
    result: str | None
    reason: str = Field(description="Why it is blocked, failed or cancelled, or was given back.")
    created_by: Id | None = Field(description="The agent that made it; null for the owner.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change; the ETag.")


class ListedTask(Task):
    """A task of a list."""

    truncated: bool = Field(False, description="Whether `max_chars` shortened its texts or lists.")


class Attempt(Model):
    """One agent's hold of a task."""

    agent_id: Id
    agent_name: str
    fencing_token: int
    started_at: Timestamp
    ended_at: Timestamp | None
    outcome: Ending | None = Field(description="How it ended; null while it lasts.")
    reason: str


class TaskDetail(Task):
    """A task with what stands behind it."""

    unmet_dependencies: list[Id] = Field(description="Dependencies that are not done.")
    history: list[Attempt] = Field(description="The agents that held it, newest first.")
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")


class CreateTask(PreparesWords):
    """A new task."""

    goal: Goal = Field(description="One line: what is true when it is done.")
    description: TaskText = ""
    type: TaskType = "feature"
    priority: Priority = 0
    dependencies: Dependencies = Field((), description="Ids of tasks that must be done first.")
    scope: Scope = Field((), description="Path patterns that it will touch, such as 'src/app/**'.")
    tags: Tags = ()
    capabilities: Tags = Field((), description="What an agent must be able to do to claim it.")
    max_attempts: MaxAttempts = limits.TASK_ATTEMPTS_DEFAULT
    review_required: bool = Field(False, description="Refuse to complete it without an approved review.")
    agent: AgentRef | None = Field(None, description="Only this agent may claim it.")


class ListTasks(Model):
    """Which tasks to list."""

    status: TaskStatus | None = None
    type: TaskType | None = None
    tag: Tag | None = None
    agent: AgentRef | None = Field(None, description="Held or finished by this agent, by name or id.")
    ready: bool | None = Field(
        None, description="true: those that can be claimed, in order; false: open ones that wait for others."
    )
    text: Label | None = Field(None, description="Words of the goal or the description.")
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowTask(Model):
    """One task."""

    task_id: Id
    max_chars: DetailChars | None = None


class UpdateTask(PreparesWords):
    """The changes to a task; absent fields stay as they are."""

    task_id: Id
    goal: Goal | None = None
    description: TaskText | None = None
    type: TaskType | None = None
    priority: Priority | None = None
    dependencies: Dependencies | None = None
    scope: Scope | None = Field(None, description="Locks that a claim took already stay as they are.")
    tags: Tags | None = None
    capabilities: Tags | None = None
    max_attempts: MaxAttempts | None = None
    review_required: bool | None = None


class ClaimTask(Model):
    """Claim a task, or the next one that is ready."""

    task_id: Id | Literal["next"] = Field(
        "next", description="An id, or 'next': the ready one of highest priority that you can do."
    )
    ttl_s: TtlSeconds | None = Field(None, description="Renew it within this time.")
    take_locks: bool = Field(False, description="Also lock its scope; all or nothing.")
    max_chars: DetailChars | None = None


class HeldTaskRequest(Model):
    """What the holder of a task says; an older fencing token is refused."""

    task_id: Id
    fencing_token: FencingToken


class RenewTask(HeldTaskRequest):
    """Hold a task longer."""

    ttl_s: TtlSeconds | None = None
    max_chars: DetailChars | None = None


class ReportProgress(HeldTaskRequest):
    """Tell how far it is."""

    note: Reason = ""
    percent: Percent | None = None


class ReleaseTask(HeldTaskRequest):
    """Give a task back, for others to claim."""

    reason: Reason = ""


class CompleteTask(HeldTaskRequest):
    """The work is done."""

    result: TaskText = Field("", description="What came of it: for those who depend on it.")


class FailTask(HeldTaskRequest):
    """The work failed."""

    reason: RequiredReason
    retry: bool = Field(False, description="Open it again for another attempt, while attempts are left.")


class FinishTask(HeldTaskRequest):
    """How the holder ends its work on a task."""

    outcome: Outcome
    result: TaskText = Field("", description="For 'done'.")
    reason: Reason = Field("", description="For the others.")
    retry: bool = Field(False, description="For 'failed': open it again while attempts are left.")

    @model_validator(mode="after")
    def _has_reason(self) -> FinishTask:
        if self.outcome in ("failed", "blocked") and not self.reason:
            raise ValueError(f"'reason' must say why the task is {self.outcome}")
        return self


class BlockTask(Model):
    """Why a task is blocked. Its holder sends its fencing token."""

    task_id: Id
    reason: RequiredReason
    fencing_token: FencingToken | None = Field(None, description="Of the holder, when somebody holds it.")


class UnblockTask(Model):
    """What blocked a task is gone."""

    task_id: Id
    reason: Reason = ""


class CancelTask(Model):
    """Why a task is cancelled."""

    task_id: Id
    reason: RequiredReason


class ClaimedTask(Model):
    """A claimed task; every later request about it carries the fencing token."""

    task: Task
    fencing_token: int
    expires_at: Timestamp = Field(description="The task is taken back then, unless it is renewed.")
    locks: list[HeldLock] = Field(description="The locks held for it; they end with the claim.")
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")


class FinishedTask(Model):
    """The state of a task after its holder ended its work on it."""

    id: Id
    goal: str
    status: TaskStatus
    attempts: int = Field(description="How often it lost its holder.")
    max_attempts: int
    version: int


class Reclaimed(Model):
    """One task that was taken back."""

    task_id: Id
    goal: str
    agent_id: Id
    agent_name: str
    why: str
    status: TaskStatus = Field(description="Open or blocked again, or failed at its last attempt.")


class TaskChanged(Model):
    """The new state of a task, and why it changed."""

    task: Task
    reason: str = ""


class TaskClaimedData(Model):
    """An agent holds a task now."""

    task: Task
    fencing_token: int
    expires_at: Timestamp
    locks: list[str] = Field(description="The locks taken with the claim.")


class TaskReclaimed(Model):
    """A task lost its holder; `task.status` says whether it is open again or failed."""

    task: Task
    agent_id: Id
    agent_name: str
    why: str


class TaskReady(Model):
    """The last dependency of an open task is done: it can be claimed."""

    task: Task
    completed_dependency: Id | None = None


TASK_CREATED = event_type("task.created", TaskChanged, "A task was added to the board.")
TASK_UPDATED = event_type(
    "task.updated", TaskChanged, "The goal, priority, dependencies or another field of a task changed."
)
TASK_CLAIMED = event_type("task.claimed", TaskClaimedData, "An agent took a task under a lease.")
TASK_PROGRESSED = event_type(
    "task.progressed", TaskChanged, "The holder of a task reported a note or a percentage."
)
TASK_RELEASED = event_type(
    "task.released", TaskChanged, "The holder gave a task back unfinished; it is open again."
)
TASK_COMPLETED = event_type("task.completed", TaskChanged, "The holder completed a task.")
TASK_REOPENED = event_type(
    "task.reopened", TaskChanged, "A completed task is open again: what was done for it did not land."
)
TASK_FAILED = event_type(
    "task.failed", TaskChanged, "A task failed: its holder reported so, or its attempts are used up."
)
TASK_BLOCKED = event_type("task.blocked", TaskChanged, "A task was blocked; its data says why.")
TASK_UNBLOCKED = event_type("task.unblocked", TaskChanged, "A task was unblocked: it is open again.")
TASK_CANCELLED = event_type("task.cancelled", TaskChanged, "A task was cancelled.")
TASK_RECLAIMED = event_type(
    "task.reclaimed",
    TaskReclaimed,
    "A task was taken back from its holder, whose lease ended; `task.status` says whether it is open again "
    "or failed.",
)
TASK_READY = event_type(
    "task.ready", TaskReady, "The last dependency of an open task was completed: it can be claimed."
)
