"""Models of changes: what is submitted, how it stands, and the events of its way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, StringConstraints

from repomesh.domains.agents.models import AgentRef
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
    Text,
)
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model

ChangeState = Literal[
    "submitted",
    "waiting",
    "queued",
    "building",
    "checking",
    "landing",
    "landed",
    "returned",
    "quarantined",
    "rejected",
    "withdrawn",
    "superseded",
]

ErrorClass = Literal[
    "schema", "base", "apply", "conflict", "check", "scope", "approval", "fencing", "infrastructure"
]
"""Why an attempt failed; only 'infrastructure' is tried again without anybody's doing."""

WaitsFor = Literal["dependencies", "approval", "lock", "pause", "work_tree", "retry"]

MergedBy = Literal["ort", "structured", "author"]
"""Who made the tree that landed: git alone, the structured merge of conflicted files, or the author."""

RiskLevel = Literal["low", "medium", "high", "critical"]

Verdict = Literal["approved", "rejected"]

CheckOutcome = Literal["passed", "failed", "timed_out"]

Revision = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]+$", max_length=limits.LABEL_CHARS_MAX)
]
"""A branch, or a commit's id."""

PatchText = Annotated[str, StringConstraints(min_length=1, max_length=limits.CHANGE_PATCH_CHARS_MAX)]

Base64 = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=limits.CHANGE_BUNDLE_BYTES_MAX * 4 // 3 + 4
    ),
]

Summary = Annotated[Label, StringConstraints(min_length=1)]

ScopePattern = Annotated[str, StringConstraints(min_length=1, max_length=limits.LABEL_CHARS_MAX)]


class Patch(Model):
    """A change as text, and the commit that it was made from."""

    format: Literal["unified", "search_replace", "files"] = Field(
        description="A unified diff; search and replace blocks; or a JSON object of paths and contents."
    )
    base_commit: Revision
    text: PatchText


class TestRun(Model):
    """A test that the author ran, for the record; the queue runs its own checks."""

    command: Label
    passed: bool
    note: Reason = ""


class ChangedFile(Model):
    """A path that a change touches."""

    path: str
    status: Literal["added", "modified", "deleted"]
    mode: str | None = Field(description="As git writes it, such as '100644'; null for a deleted file.")
    old_mode: str | None
    blob: str | None = Field(description="The id of its new content; null for a deleted file.")
    old_blob: str | None
    bytes: int
    added: int = Field(description="Lines; 0 for a binary file.")
    deleted: int
    binary: bool


class Risk(Model):
    """How risky a change is, and why."""

    level: RiskLevel
    reasons: list[str]


class MissingApproval(Model):
    """What approvals a change still lacks."""

    people: int = 0
    reviewers: int = 0
    owners: list[str] = Field(default_factory=list, description="Of which one of each group must approve.")


class Change(Model):
    """A change and how it stands."""

    id: Id
    summary: str
    state: ChangeState
    reason: str = Field(description="Why it is in this state.")
    next_step: str = Field(description="What would move it; empty where nothing would.")
    waits_for: WaitsFor | None
    error_class: ErrorClass | None = Field(description="Of the last attempt that failed.")
    author_id: Id | None
    author_name: str
    target: str = Field(description="The branch that it lands on.")
    branch: str | None = Field(description="The branch that was submitted.")
    base_commit: str = Field(description="The commit that it was made from.")
    head_commit: str = Field(description="The commit that was submitted, or made of what was.")
    patch_id: str = Field(description="Of its difference; approvals are for one.")
    attempt: int = Field(description="Grows with each submission of the same change.")
    failures: int = Field(description="How often it was returned.")
    priority: int
    task_id: Id | None
    depends_on: list[Id]
    file_count: int
    lines_added: int
    lines_deleted: int
    risk: Risk
    landed_commit: str | None
    merged_by: MergedBy | None
    rolls_back: list[Id] = Field(description="The landed changes that this one takes back.")
    rolled_back_by: Id | None = Field(description="The landed change that took this one back.")
    created_at: Timestamp
    updated_at: Timestamp
    landed_at: Timestamp | None
    version: int


class SubmittedChange(Change):
    """A change with the files that it touches."""

    files: list[ChangedFile]


class ConflictSide(Model):
    """One version of a conflicted file: the beginning of its text, null for a binary one."""

    blob: str
    text: str | None
    truncated: bool = False


class FileConflict(Model):
    """A file that could not be merged, with its versions; null where there is none."""

    path: str
    base: ConflictSide | None
    ours: ConflictSide | None = Field(description="The target branch's.")
    theirs: ConflictSide | None = Field(description="The change's.")
    why: str = Field(description="Why the structured merge did not help.")


class CheckResult(Model):
    """The run of one check on one tree."""

    name: str
    tree: str
    outcome: CheckOutcome
    exit_code: int | None
    seconds: float
    cached: bool = Field(description="Whether an earlier run of the same check on the same tree counted.")
    flaky: bool = Field(description="Whether it failed at first and passed when it was run again.")
    output: str = Field(description="The end of what it wrote.")
    at: Timestamp


class Approval(Model):
    """An agent's verdict on one patch of a change."""

    agent_id: Id
    agent_name: str
    by_person: bool
    verdict: Verdict
    patch_id: str
    counts: bool = Field(description="Whether it is about the change's present patch.")
    comment: str
    at: Timestamp


class AttemptRecord(Model):
    """One way of a change through the queue, and how it ended."""

    number: int
    base: str = Field(description="The commit that it was built on; empty where it was not built.")
    outcome: str
    error_class: ErrorClass | None
    reason: str
    at: Timestamp


class ChangeDetail(SubmittedChange):
    """A change with everything that happened to it."""

    description: str
    declared_scope: list[str]
    tests: list[TestRun]
    conflicts: list[FileConflict]
    checks: list[CheckResult]
    approvals: list[Approval]
    missing: MissingApproval
    attempts: list[AttemptRecord]
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")


class SubmitChange(Model):
    """A change to land: a branch or commit of the repository, a patch, or a git bundle."""

    summary: Summary = Field(description="One line: what it changes, and why.")
    description: Text = ""
    branch: Revision | None = None
    commit: Revision | None = None
    patch: Patch | None = None
    bundle: Base64 | None = Field(None, description="A git bundle with one branch, as base64.")
    task_id: Id | None = Field(None, description="The task it belongs to; needs `fencing_token`.")
    fencing_token: FencingToken | None = Field(None, description="Of the claim of that task.")
    declared_scope: Annotated[tuple[ScopePattern, ...], Field(max_length=limits.LIST_ITEMS_MAX)] = Field(
        (), description="Path patterns that all files of the change match; refused if one does not."
    )
    depends_on: Annotated[tuple[Id, ...], Field(max_length=limits.CHANGE_DEPENDENCIES_MAX)] = Field(
        (), description="Changes that must land before."
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(0, description="Higher ones are built first.")
    tests: Annotated[tuple[TestRun, ...], Field(max_length=50)] = ()
    replaces: Id | None = Field(None, description="A change of yours that this one is a new attempt of.")

    _inspection: Any = PrivateAttr(None)  # what git says about it, an inspecting.Inspection


class ListChanges(Model):
    """Which changes to list."""

    state: ChangeState | None = None
    waits_for: WaitsFor | None = None
    author: AgentRef | None = None
    task_id: Id | None = None
    open: bool | None = Field(None, description="Those under way (true), or those that ended (false).")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ShowChange(Model):
    """One change."""

    change_id: Id
    max_chars: DetailChars | None = None


class ShowDiff(Model):
    """The difference that a change makes."""

    change_id: Id
    max_chars: DetailChars | None = None

    _diff: Any = PrivateAttr(None)  # the text and whether that is all of it


class ChangeDiff(Model):
    """A unified diff of the present patch of a change."""

    id: Id
    patch_id: str
    base_commit: str = Field(description="What the patch applies to.")
    head_commit: str = Field(description="What it makes of that: the submitted commit, or the rebuilt one.")
    diff: str
    truncated: bool


class DecideChange(Model):
    """A verdict on a change as it is now."""

    change_id: Id
    comment: Reason = ""
    patch_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="The patch that was looked at; refused if it is another one now."
    )


class WithdrawChange(Model):
    """Take a change out of the queue."""

    change_id: Id
    reason: Reason = ""


class RetryChange(Model):
    """Queue a change again that was returned or quarantined."""

    change_id: Id


class PlanRollback(Model):
    """Landed changes to take back: some by their ids, or all that landed after a commit."""

    change_ids: Annotated[tuple[Id, ...], Field(max_length=limits.ROLLBACK_CHANGES_MAX)] = ()
    to: Revision | None = Field(None, description="A commit of the target branch that it shall equal again.")
    target: str | None = Field(None, description="The branch, for `to`; by default the configured one.")

    _plan: Any = PrivateAttr(None)  # a rolling_back._Plan


class RollbackPlan(Model):
    """What taking changes back does to the target branch."""

    target: str
    changes: list[Change] = Field(description="That are taken back, newest first.")
    dependants: list[Change] = Field(
        description="Later changes of the same files, newest first; taking back the others may conflict."
    )
    other_commits: int = Field(description="Commits after `to` that came by no change; they go, too.")


class RollBack(PlanRollback):
    """Landed changes to take back, by one change that goes through the queue."""

    reason: Reason = ""
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(10, description="Above that of other changes.")

    _inspection: Any = PrivateAttr(None)  # the commit that takes them back, an inspecting.Inspection


class ChangeEventData(Model):
    """A change as it is now."""

    change: Change
    comment: str = ""


CHANGE_SUBMITTED = event_type(
    "change.submitted", ChangeEventData, "An agent submitted a change to the merge queue."
)
CHANGE_WAITING = event_type("change.waiting", ChangeEventData, "A change waits; its reason says what for.")
CHANGE_QUEUED = event_type("change.queued", ChangeEventData, "A change is ready to be built.")
CHANGE_BUILDING = event_type("change.building", ChangeEventData, "The queue began to build a change.")
CHANGE_CHECKED = event_type("change.checked", ChangeEventData, "All checks of a change passed.")
CHANGE_CHECKING = event_type("change.checking", ChangeEventData, "The checks of a change began.")
CHANGE_LANDING = event_type(
    "change.landing", ChangeEventData, "A change is about to be on its target branch."
)
CHANGE_LANDED = event_type("change.landed", ChangeEventData, "A change is on its target branch.")
CHANGE_RETURNED = event_type("change.returned", ChangeEventData, "A change went back to its author.")
CHANGE_QUARANTINED = event_type("change.quarantined", ChangeEventData, "A change was returned too often.")
CHANGE_APPROVED = event_type("change.approved", ChangeEventData, "Somebody approved a change.")
CHANGE_REJECTED = event_type("change.rejected", ChangeEventData, "Somebody rejected a change.")
CHANGE_WITHDRAWN = event_type("change.withdrawn", ChangeEventData, "A change was taken out of the queue.")
CHANGE_SUPERSEDED = event_type("change.superseded", ChangeEventData, "A new attempt replaced a change.")
CHANGE_ROLLED_BACK = event_type("change.rolled_back", ChangeEventData, "A landed change was taken back.")


class QueueEventData(Model):
    """The merge queue of one branch stopped, or goes on."""

    target: str
    reason: str
    by: str


QUEUE_PAUSED = event_type("queue.paused", QueueEventData, "The merge queue of a branch stopped.")
QUEUE_RESUMED = event_type("queue.resumed", QueueEventData, "The merge queue of a branch goes on.")
QUEUE_STALLED = event_type(
    "queue.stalled", QueueEventData, "Changes are ready, but none has moved for a long time."
)

EVENT_OF_STATE: dict[ChangeState, str] = {
    "submitted": CHANGE_SUBMITTED,
    "waiting": CHANGE_WAITING,
    "queued": CHANGE_QUEUED,
    "building": CHANGE_BUILDING,
    "checking": CHANGE_CHECKING,
    "landing": CHANGE_LANDING,
    "landed": CHANGE_LANDED,
    "returned": CHANGE_RETURNED,
    "quarantined": CHANGE_QUARANTINED,
    "rejected": CHANGE_REJECTED,
    "withdrawn": CHANGE_WITHDRAWN,
    "superseded": CHANGE_SUPERSEDED,
}
"""The event that a change's arrival in a state is."""
