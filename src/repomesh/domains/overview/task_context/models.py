"""The words of a task's context."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from repomesh.domains.leases.models import Mode
from repomesh.domains.tasks.models import TaskStatus, TaskType
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model


class ShowTaskContext(Model):
    """What one needs to know to work on a task."""

    task_id: Id
    max_chars: Annotated[int, Field(ge=limits.CONTEXT_CHARS_MIN, le=limits.MAX_CHARS_MAX)] = Field(
        limits.CONTEXT_CHARS_DEFAULT, description="Budget for the answer; what was left out is said."
    )


class ContextTask(Model):
    """The task itself."""

    id: Id
    goal: str
    description: str
    type: TaskType
    priority: int
    status: TaskStatus
    agent_name: str | None = Field(description="The task's holder, or its last one when it ended.")
    scope: list[str]
    percent: int | None
    note: str
    result: str | None
    reason: str


class ContextDependency(Model):
    """A task that must be done first, and what came of it."""

    id: Id
    goal: str
    status: TaskStatus
    agent_name: str | None
    result: str
    truncated: bool = Field(False, description="Whether `result` is only the beginning.")


class ContextMessage(Model):
    """A message about the task, or one that names its id."""

    id: Id
    sender_name: str
    subject: str
    body: str
    created_at: Timestamp
    truncated: bool = Field(False, description="Whether `body` is only the beginning.")


class ContextEvent(Model):
    """Something that happened to the task."""

    seq: int
    type: str
    agent_name: str | None
    at: Timestamp
    text: str = Field(description="The reason or note that came with it, or its data.")
    truncated: bool = Field(False, description="Whether `text` is only the beginning.")


class ContextLock(Model):
    """What somebody else holds, or waits for, that overlaps with the task's scope."""

    resource: str
    holder_name: str
    mode: Mode
    expires_at: Timestamp
    waiting: bool
    note: str
    truncated: bool = Field(False, description="Whether `note` is only the beginning.")


class TaskContext(Model):
    """A task and what stands around it; lists are newest first, locks by resource."""

    task: ContextTask
    dependencies: list[ContextDependency]
    messages: list[ContextMessage]
    events: list[ContextEvent]
    locks: list[ContextLock]
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
