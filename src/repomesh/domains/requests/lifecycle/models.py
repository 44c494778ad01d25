"""Models of requests: what is asked for, the brief and the plan of it, and the events of its way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr, StringConstraints, model_validator

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.changes.models import (
    Approval,
    AttemptRecord,
    ChangeState,
    CheckResult,
    MergedBy,
    Risk,
)
from repomesh.domains.requests.planning.models import Plan, PlanPath, PlanTexts, PlanViolation
from repomesh.domains.tasks.models import Attempt, Priority, TaskStatus
from repomesh.kernel import limits
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, DetailChars, Label, MaxChars, PageLimit, Reason
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model

RequestState = Literal[
    "received",
    "clarifying",
    "briefed",
    "planning",
    "planned",
    "working",
    "done",
    "failed",
    "cancelled",
]

RequestClass = Literal["feature", "bugfix", "refactor", "docs"]

ApprovalPolicy = Literal["always", "risk", "never"]
"""When a person must approve a brief and a plan: always, where a rule says so, or never."""

RequestWaitsFor = Literal["person", "role", "server", "tasks"]
"""Who moves a request: a person, the agent of a role, the server, or those who do its tasks."""

DocumentType = Literal["brief", "plan"]

BRIEF_VERSION = 1
"""The version of the brief document that this code writes and reads."""

RequestText = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", max_length=limits.TASK_TEXT_CHARS_MAX),
    Field(description="What is wanted, in any language; the first line is its title."),
]

Goal = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*[^\s\x00][^\x00]*$", max_length=limits.PLAN_TEXT_CHARS_MAX)
]

RequestedPaths = Annotated[tuple[PlanPath, ...], Field(max_length=limits.REQUEST_PATHS_MAX)]

AttachmentText = Annotated[
    str, StringConstraints(pattern=r"^[^\x00]*$", max_length=limits.REQUEST_ATTACHMENT_CHARS_MAX)
]


class Attachment(Model):
    """A text that belongs to a request, such as a log or a specification."""

    name: Annotated[Label, StringConstraints(min_length=1)]
    content: AttachmentText


Attachments = Annotated[tuple[Attachment, ...], Field(max_length=limits.REQUEST_ATTACHMENTS_MAX)]


class Brief(Model):
    """What a request is to achieve, and what it is not."""

    version: Literal[1] = Field(1, description="Version of this document.")
    goal: Goal = Field(description="What is true when the request is done.")
    scope_in: PlanTexts = Field((), description="What belongs to it.")
    scope_out: PlanTexts = Field((), description="What does not.")
    files: RequestedPaths = Field(
        (), description="Paths and patterns that it touches, existing or new; a plan is made from them."
    )
    acceptance: PlanTexts = Field((), description="What must be true of the result.")
    constraints: PlanTexts = Field((), description="What the work must keep to.")
    open_questions: PlanTexts = Field(
        (), description="What a person must decide first; a brief with questions always needs an approval."
    )


class _WithClass(Model):
    """A model with the field `class`, which is no name in Python."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)


class RequestSummary(_WithClass):
    """A request as it stands, without its texts and documents."""

    id: Id
    title: str = Field(description="The first line of its text.")
    class_: RequestClass = Field(alias="class", description="What sort of work it is.")
    class_detected: bool = Field(description="Whether the class was read from the text, not given.")
    state: RequestState
    reason: str = Field(description="Why it is in this state.")
    next_step: str = Field(description="What would move it, and who can do that.")
    waits_for: RequestWaitsFor | None = Field(description="Who would move it; null when it has ended.")
    priority: int = Field(description="Higher goes first; its tasks have the same.")
    approval: ApprovalPolicy
    stopped: bool = Field(description="Whether its tasks are blocked until somebody resumes it.")
    stopped_reason: str | None
    stopped_by: str | None
    requester_id: Id | None = Field(description="Null for the owner.")
    requester_name: str
    brief_version: int = Field(description="Counts the versions of its brief; 0 without one.")
    plan_version: int = Field(description="Counts the versions of its plan; 0 without one.")
    created_at: Timestamp
    updated_at: Timestamp
    ended_at: Timestamp | None
    version: int = Field(description="Grows with each change; the ETag.")


class RequestDocument(Model):
    """One version of a request's brief or plan."""

    type: DocumentType
    version: int
    author_id: Id | None = Field(description="Null for the owner and for the server itself.")
    author_name: str
    approved_by: str | None
    approved_at: Timestamp | None
    risks: list[str] = Field(description="Why a person must approve it under the policy 'risk'.")
    at: Timestamp


class BriefVersion(RequestDocument):
    """One version of a brief."""

    document: Brief


class PlanOfRequest(RequestDocument):
    """One version of a plan."""

    document: Plan


class TaskOfRequest(Model):
    """A task of the plan on the board."""

    key: str
    task_id: Id
    goal: str
    status: TaskStatus
    agent_name: str | None
    reason: str


class ChangeOfRequest(Model):
    """A change that an agent submitted for a task of the request."""

    id: Id
    task_key: str
    summary: str
    state: ChangeState
    author_name: str
    landed_commit: str | None


class RequestDetail(RequestSummary):
    """A request with its documents, tasks and changes."""

    text: str
    files: list[str]
    attachments: list[Attachment]
    brief: BriefVersion | None
    plan: PlanOfRequest | None
    violations: list[PlanViolation] = Field(description="Rules that the last proposed plan broke.")
    rounds: int = Field(description="Plans in a row that broke a rule.")
    tasks: list[TaskOfRequest]
    changes: list[ChangeOfRequest]


class ReportedTask(TaskOfRequest):
    """A task of a request, with who worked on it and what it owned."""

    files: list[str]
    attempts: list[Attempt] = Field(description="The agents that held it, newest first.")
    result: str | None


class ReportedChangeOfRequest(ChangeOfRequest):
    """A change of a request, with what it had to pass."""

    reason: str
    submitted_at: Timestamp
    landed_at: Timestamp | None
    merged_by: MergedBy | None
    risk: Risk
    files: list[str]
    attempts: list[AttemptRecord] = Field(description="How its ways through the queue ended, newest first.")
    checks: list[CheckResult]
    approvals: list[Approval]


class RequestReport(_WithClass):
    """What was asked, understood, split, done, checked and approved, and what failed."""

    request: RequestSummary
    text: str
    brief: BriefVersion | None
    plan: PlanOfRequest | None
    tasks: list[ReportedTask]
    changes: list[ReportedChangeOfRequest]


class CreateRequest(_WithClass):
    """Something that somebody wants done."""

    text: RequestText
    class_: RequestClass | None = Field(
        None, alias="class", description="What sort of work it is; read from the text by default."
    )
    files: RequestedPaths = Field((), description="Paths and patterns that it touches, if they are known.")
    attachments: Attachments = ()
    priority: Priority = 0
    approval: ApprovalPolicy | None = Field(
        None,
        description="When a person must approve brief and plan; by default as 'requests.approval' of "
        "repomesh.toml says. Only people choose less than that.",
    )

    _settings: Any = PrivateAttr(None)


class ListRequests(Model):
    """Which requests to list."""

    state: RequestState | None = None
    waits_for: RequestWaitsFor | None = None
    open: bool | None = Field(None, description="true: those that have not ended; false: those that have.")
    requester: AgentRef | None = None
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowRequestDetail(Model):
    """One request."""

    request_id: Id
    max_chars: DetailChars | None = None


class EditRequest(Model):
    """A new version of a request's brief or of its plan; exactly one of them."""

    request_id: Id
    brief: Brief | None = None
    plan: Plan | None = Field(None, description="As 'repomesh plan --json' writes it; sizes are computed.")
    comment: Reason = ""

    _checked: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _has_one(self) -> EditRequest:
        if (self.brief is None) == (self.plan is None):
            raise ValueError("send exactly one of 'brief' and 'plan'")
        return self


class ApproveRequest(Model):
    """An approval of the brief or the plan that waits for one."""

    request_id: Id
    document_version: int | None = Field(
        None, ge=1, description="The version that you looked at; refused when there is a newer one."
    )
    comment: Reason = ""


class StopRequest(Model):
    """Why a request is stopped, or cancelled."""

    request_id: Id
    reason: Reason = ""


class ResumeRequest(Model):
    """A stopped request."""

    request_id: Id


class EditedRequest(Model):
    """What came of a new brief or plan."""

    accepted: bool = Field(description="False for a plan that breaks rules: `violations` says which.")
    request: RequestSummary
    violations: list[PlanViolation]


class RequestEventData(Model):
    """A request as it stands after the event."""

    request: RequestSummary
    comment: str = ""


class RequestEditedData(RequestEventData):
    """A request with the document that was written."""

    brief: BriefVersion | None = None
    plan: PlanOfRequest | None = None


_STATES = {
    "received": "A request arrived; its brief is to be written.",
    "clarifying": "A request waits for answers of a person before it can go on.",
    "briefed": "The brief of a request is written, and waits for an approval.",
    "planning": "The brief of a request holds, and its plan is being made.",
    "planned": "The plan of a request is made, and waits for an approval.",
    "working": "The tasks of a request are on the board.",
    "done": "All tasks of a request are done, and their changes landed.",
    "failed": "A request can't be completed: a task of it failed or was cancelled.",
    "cancelled": "A request was cancelled, with its open tasks and changes.",
}
EVENT_OF_STATE: dict[str, str] = {
    state: event_type(f"request.{state}", RequestEventData, meaning) for state, meaning in _STATES.items()
}
REQUEST_EDITED = event_type(
    "request.edited", RequestEditedData, "A new version of the brief or the plan of a request was written."
)
REQUEST_APPROVED = event_type(
    "request.approved", RequestEditedData, "The brief or the plan of a request was approved."
)
REQUEST_PLAN_REFUSED = event_type(
    "request.plan_refused",
    RequestEventData,
    "A plan for a request broke rules, and was not taken; the comment names the first.",
)
REQUEST_STOPPED = event_type(
    "request.stopped", RequestEventData, "A request was stopped: its open tasks are blocked."
)
REQUEST_RESUMED = event_type("request.resumed", RequestEventData, "A stopped request goes on.")
