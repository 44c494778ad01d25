"""The words of what answers from several domains."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from repomesh.domains.agents.models import Agent, AgentRef, RegisterAgent, Registration, Resources
from repomesh.domains.leases.models import EndedReason, Mode
from repomesh.domains.tasks.models import Reclaimed, TaskStatus, TaskType
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Label, TextChars
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model, PartialResult


class JoinWorkspace(RegisterAgent):
    """Join the workspace, or join again as an agent that is known."""

    max_chars: TextChars = Field(limits.BRIEFING_CHARS_MAX, description="Budget for the briefing.")


class JoinedWorkspace(Registration):
    """The caller's identity and its briefing. The instance token is shown once."""

    briefing: str = Field(description="What it holds, did last and has not read, and what was decided.")


class Heartbeat(Model):
    """A sign of life, with what the agent wants to tell of itself."""

    agent_id: AgentRef
    status_text: Label | None = Field(None, description="What it is doing.")
    resources: Resources | None = Field(None, description="Figures such as 'context_left'.")


class HeartbeatResult(Model):
    """What an agent should know at each heartbeat."""

    agent: Agent
    unread: int = Field(description="Messages not read yet.")
    next_lease_expiry: Timestamp | None = Field(description="When the agent's next lease expires.")
    heartbeat_every_s: float


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


class Reconcile(Model):
    """Look now for agents, leases and tasks whose time is over."""


class ReclaimedLease(Model):
    """A lease that was reclaimed."""

    resource_type: str
    resource: str
    agent_id: Id
    agent_name: str
    fencing_token: int
    reason: EndedReason


class Reconciled(PartialResult):
    """What was found and reclaimed."""

    inactive_agent_ids: list[Id] = Field(description="Agents that went silent.")
    leases: list[ReclaimedLease]
    tasks: list[Reclaimed]
