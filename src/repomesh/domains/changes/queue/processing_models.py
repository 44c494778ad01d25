"""Requests and results of the commands by which a worker of the merge queue records what it does."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from repomesh.domains.changes.configuration import Needed
from repomesh.domains.changes.models import (
    ChangedFile,
    CheckOutcome,
    ErrorClass,
    FileConflict,
    MergedBy,
    Risk,
    WaitsFor,
)
from repomesh.kernel import limits
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model


class LaneClaim(Model):
    """A lane, and the claim under which a worker works on it."""

    target: str
    claim_id: Id


class QueuedChange(Model):
    """A change that is ready to be built, with what its build needs."""

    id: Id
    summary: str
    description: str
    author_name: str
    base_commit: str
    head_commit: str
    patch_id: str
    priority: int
    task_id: Id | None
    barrier: bool
    created_at: datetime
    queued_at: datetime
    approved_by: list[str]


class LandedCommit(Model):
    """The commit of one change in a move of the target branch."""

    change_id: Id
    commit: str
    parent: str
    merged_by: MergedBy


class BranchMove(Model):
    """A move of the target branch."""

    id: Id
    old_commit: str
    new_commit: str
    commits: list[LandedCommit]


class TakeLane(LaneClaim):
    """A lane to claim, and how many changes its worker builds at once; 0 where it can build none."""

    batch_max: int = 0


class TakenLane(Model):
    """What a worker took: the changes to build, and moves of the branch whose outcome is unknown.

    `queued` says whether there is anything to build, also where `batch_max` was 0. Moves in
    `abandoned_moves` were given up a while ago: one that was under way then may have ended well since.
    """

    taken: bool = False
    queued: bool = False
    changes: list[QueuedChange] = []
    pending_moves: list[BranchMove] = []
    abandoned_moves: list[BranchMove] = []


class BeginChecks(LaneClaim):
    """Changes that a worker begins to check."""

    change_ids: tuple[Id, ...]


class CheckRun(Model):
    """A check that ran on a tree, or whose earlier result counts."""

    name: str
    tree: str
    key: str
    outcome: CheckOutcome
    exit_code: int | None
    seconds: float
    flaky: bool = False
    cached: bool = False
    output: str


class RecordChecks(LaneClaim):
    """The checks that changes passed through; kept, so that none runs twice on the same tree."""

    change_ids: tuple[Id, ...]
    runs: tuple[CheckRun, ...]


class FindChecks(Model):
    """The checks whose results on a tree are wanted."""

    tree: str
    keys: tuple[str, ...]


class FoundChecks(Model):
    """The results that are known."""

    runs: list[CheckRun]


class FindPins(Model):
    """Changes whose submitted commits git keeps."""

    change_ids: Annotated[tuple[str, ...], Field(max_length=limits.QUEUE_PINS_SWEPT_MAX)]


class FoundPins(Model):
    """Those of them whose commits need not be kept any more."""

    unneeded: list[str]


class BuiltChange(Model):
    """A change as it was built on its parent: the commit, and what that changes."""

    change_id: Id
    commit: str
    parent: str
    merged_by: MergedBy
    patch_id: str
    risk: Risk
    needed: Needed
    owners: list[list[str]]
    files: list[ChangedFile]
    barrier: bool


class IntendLanding(LaneClaim):
    """A move of the target branch that is about to be made."""

    landing_id: Id
    old_commit: str
    new_commit: str
    changes: tuple[BuiltChange, ...]


class Intended(Model):
    """Whether the move may be made; else the changes that must be left out of it."""

    allowed: bool
    refused: list[Id] = []


class LandingOutcome(Model):
    """Whether the target branch moved as intended."""

    landing_id: Id
    landed: bool


class SettleLanding(LaneClaim):
    """The outcome of a move of the target branch that an earlier worker intended."""

    landing: LandingOutcome


class PostponeLanding(LaneClaim):
    """Why the outcome of a move of the target branch can't be known yet, and what would let it be known."""

    landing_id: Id
    reason: str
    next_step: str
    waits_for: WaitsFor = "retry"


class FailedChange(Model):
    """An attempt that failed. One that waits is tried again by itself."""

    change_id: Id
    error_class: ErrorClass
    reason: str
    next_step: str
    base: str
    conflicts: list[FileConflict] = []
    waits_for: WaitsFor = "retry"


class SettleChanges(LaneClaim):
    """What became of the target branch and of attempts; `pause` is why the lane must stand still."""

    landing: LandingOutcome | None = None
    failed: tuple[FailedChange, ...] = ()
    attempts_max: int = 3
    pause: str | None = None


class Settled(Model):
    """Whether there is more to build."""

    more: bool = False
