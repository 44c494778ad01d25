"""The words of sessions: named places where people and models put what shall outlast their conversations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.sessions.fields import JsonObject, Key, Participant, Participants, SessionId
from repomesh.domains.tasks.models import (
    Dependencies,
    Goal,
    MaxAttempts,
    Priority,
    Scope,
    Task,
    TaskStatus,
    TaskText,
    TaskType,
)
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, MaxChars, PageLimit, Reason, Tags
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Empty, Model, PartialResult

SessionStatus = Literal["active", "paused", "completed", "deleting"]

Title = Annotated[Label, StringConstraints(min_length=1)]


class ListedSession(Model):
    """A session of a list."""

    id: str = Field(description="As its creator chose it.")
    title: str
    participants: list[str]
    status: SessionStatus
    reason: str = Field(description="Why it is paused or completed.")
    created_by: str | None = Field(description="The agent that made it; null for the owner.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int = Field(description="Grows with each change of the session itself; the ETag.")


class Session(ListedSession):
    """A named session. Only an active one takes further content."""

    context: dict[str, JsonValue] = Field(description="What newcomers should know.")
    metadata: dict[str, JsonValue]


class SessionCounts(Model):
    """The number of records that belong to a session."""

    chunks: int
    chunk_bytes: int
    memories: int
    artifacts: int
    tasks: int


class SessionDetail(Session):
    """A session with the number of records that belong to it."""

    counts: SessionCounts


class CreateSession(Model):
    """A new session."""

    session_id: SessionId
    title: Title | None = Field(None, description="The id, unless you name another.")
    participants: Participants = Field((), description="Names of who takes part, agents or not.")
    context: JsonObject = Field({}, description="What newcomers should know.")
    metadata: JsonObject = Field({}, description="Whatever you keep with it.")


class ListSessions(Model):
    """Which sessions to list."""

    status: SessionStatus | None = Field(None, description="Only those of this status.")
    participant: Participant | None = Field(None, description="Only those in which this name takes part.")
    since: Timestamp | None = Field(None, description="Made at this time or later.")
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class OneSession(Model):
    """One session."""

    session_id: SessionId


class UpdateSession(OneSession):
    """What changes of a session; what is left out stays."""

    title: Title | None = None
    participants: Participants | None = None
    context: JsonObject | None = None
    metadata: JsonObject | None = None


class ChangeStatus(OneSession):
    """The session to pause, resume or complete, and why."""

    reason: Reason = Field("", description="Why; the session shows it.")


class DeleteSession(OneSession):
    """The session to delete with everything in it."""

    reason: Reason = Field("", description="Why; it stands in the log.")


class EraseSessions(Empty):
    """Go on with the sessions that are being deleted."""


class ErasedContents(Model):
    """What was deleted with a session: of each sort some are named, all are counted."""

    chunks: int = 0
    memories: int = 0
    artifacts: int = 0
    tasks: int = 0
    memory_keys: list[str] = []
    artifact_ids: list[str] = []
    task_ids: list[Id] = Field(
        [], description="Of the task board. Those that were not finished are cancelled."
    )


class DeletedSession(Model):
    """The progress of the deletion of a session."""

    session_id: str
    done: bool = Field(
        description="false: the session is large and is deleted in pieces; session.deleted reports the end."
    )
    erased: ErasedContents = Field(description="What has been deleted so far.")


class ErasedSessions(PartialResult):
    """What one pass over the sessions that are being deleted did."""

    sessions: int
    rows: int


class DelegateTask(OneSession):
    """Hand out work of a session: to one agent, or to any that has the capabilities."""

    goal: Goal = Field(description="One line: what is true when it is done.")
    task_id: Key | None = Field(
        None, description="Your name for it in the session; a resend answers the same."
    )
    description: TaskText = Field("", description="What whoever does it must know.")
    type: TaskType = "feature"
    priority: Priority = 0
    agent: AgentRef | None = Field(None, description="Only this agent may claim it, and is notified.")
    capabilities: Tags = Field((), description="What an agent must be able to do to claim it.")
    depends_on: Annotated[tuple[Key, ...], Field(max_length=limits.LIST_ITEMS_MAX)] = Field(
        (), description="Names or ids of tasks of this session that must be done first."
    )
    dependencies: Dependencies = Field((), description="Ids of other tasks of the board.")
    scope: Scope = Field((), description="Path patterns that it will touch.")
    tags: Tags = Field((), description="To find it by.")
    max_attempts: MaxAttempts = Field(
        limits.TASK_ATTEMPTS_DEFAULT,
        description="It fails when it has lost its holder this often.",
    )
    review_required: bool = Field(False, description="Refuse to complete it without an approved review.")
    agent_may_be_new: bool = Field(
        False, description="Whether to accept an unknown name: that agent gets the task when it registers."
    )


class SessionTask(Model):
    """A task that was handed out in a session, and how far it is."""

    session_id: str
    key: str = Field(description="Its name in the session.")
    task: Task


class ListSessionTasks(OneSession):
    """Which tasks of a session to list."""

    status: TaskStatus | None = None
    agent: AgentRef | None = Field(None, description="Held, finished by or meant for this agent.")
    cursor: Cursor | None = None
    limit: PageLimit = limits.PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class SessionChanged(Model):
    """The new state of a session."""

    session: Session


class SessionDeleting(Model):
    """A large session is being deleted; nothing of it can be changed any more."""

    session: Session


class SessionDeleted(Model):
    """A session was deleted with everything in it."""

    session_id: str
    reason: str
    erased: ErasedContents


class TaskDelegated(Model):
    """A task was handed out in a session."""

    session_id: str
    key: str
    task_id: Id
    agent: str | None = Field(description="The only agent that may claim it.")


SESSION_CREATED = event_type("session.created", SessionChanged, "A session was created.")
SESSION_UPDATED = event_type(
    "session.updated", SessionChanged, "The title, tags or another field of a session changed."
)
SESSION_PAUSED = event_type(
    "session.paused", SessionChanged, "A session was paused; it accepts nothing until it is resumed."
)
SESSION_RESUMED = event_type("session.resumed", SessionChanged, "A paused session was resumed.")
SESSION_COMPLETED = event_type("session.completed", SessionChanged, "A session was completed.")
SESSION_DELETING = event_type(
    "session.deleting",
    SessionDeleting,
    "The deletion of a large session began; nothing in it can be changed any more.",
)
SESSION_DELETED = event_type(
    "session.deleted", SessionDeleted, "A session was deleted with everything in it."
)
SESSION_TASK_DELEGATED = event_type(
    "session.task_delegated", TaskDelegated, "A task was delegated in a session."
)
