"""Models of the merge queue as a whole: how it stands, and what is in force."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PrivateAttr

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.changes.models import Change, MergedBy, RiskLevel
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Cursor, MaxChars, PageLimit, Reason
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model


class Lane(Model):
    """The queue of one target branch, and whether it is paused."""

    target: str
    paused: bool
    paused_reason: str | None
    paused_by: str | None
    paused_at: Timestamp | None


class Lanes(Model):
    """The lanes that were paused or resumed, or were so already."""

    lanes: list[Lane]


class LaneStatus(Lane):
    """How the queue of one target branch stands."""

    working: bool = Field(description="Whether a worker is at it now.")
    counts: dict[str, int] = Field(description="Changes under way or given back, by state.")


class QueueStatus(Model):
    """The merge queue of the workspace."""

    lanes: list[LaneStatus]
    next: list[Change] = Field(description="The changes that are built next, in their order.")
    waiting: list[Change] = Field(description="Changes that wait, the oldest first.")


class ShowQueue(Model):
    """How the queue stands."""

    target: str | None = None


class PauseQueue(Model):
    """Stop landing changes on a branch."""

    reason: Reason
    target: str | None = Field(None, description="The branch; by default every lane.")

    _configured_target: str | None = PrivateAttr(None)


class ResumeQueue(Model):
    """Land changes again."""

    target: str | None = None


class ShowConfiguration(Model):
    """What is in force."""

    _answer: Any = PrivateAttr(None)


class ConfigurationValue(Model):
    """The value of one key of `repomesh.toml`, and where it comes from."""

    key: str
    value: Any
    source: str


class QueueConfiguration(Model):
    """What is in force on the target branch."""

    target: str
    tip: str
    file: bool = Field(description="Whether the target branch has a repomesh.toml.")
    values: list[ConfigurationValue]
    warnings: list[str]


class Percentiles(Model):
    """Seconds: half of the cases took at most `p50`, 95 of 100 at most `p95`; null without any case."""

    count: int
    p50: float | None
    p95: float | None


class CheckStatistics(Model):
    """Checks that ran in the time span; results that were reused are not among them."""

    runs: int
    passed: int
    flaky: int = Field(description="Failed at first and passed when they ran again; among the passed ones.")
    seconds: Percentiles


class ShowStatistics(Model):
    """Of which time span and branch."""

    since: Timestamp | None = Field(None, description="By default a day ago.")
    target: str | None = None


class QueueStatistics(Model):
    """What the merge queue did in a time span, and how it stands now."""

    since: Timestamp
    until: Timestamp
    depth: dict[str, int] = Field(description="Changes under way or given back now, by state.")
    oldest_s: float | None = Field(description="Age of the oldest change under way.")
    landed: int
    landed_per_h: float
    returned: int = Field(description="Attempts that failed by the fault of their change.")
    success_rate: float | None = Field(description="Landed, of all attempts that landed or were returned.")
    rolled_back: int
    merged_by: dict[str, int] = Field(description="Landed changes by who made the tree.")
    failures: dict[str, int] = Field(description="Failed attempts by class of error.")
    wait_s: Percentiles = Field(description="From submission to landing.")
    checks: CheckStatistics


class ShowReport(Model):
    """Which landed changes to report."""

    since: Timestamp | None = Field(None, description="Landed at this time or later.")
    until: Timestamp | None = Field(None, description="Landed before this time.")
    target: str | None = None
    task_id: Id | None = None
    author: AgentRef | None = None
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT
    max_chars: MaxChars | None = None


class ReportedCheck(Model):
    """A check that a landed change passed."""

    name: str
    cached: bool
    flaky: bool
    seconds: float


class ReportedApproval(Model):
    """An approval of the patch that landed."""

    agent_name: str
    by_person: bool


class LandedChange(Model):
    """A landed change and everything that answers for it."""

    id: Id
    summary: str
    target: str
    landed_commit: str
    landed_at: Timestamp
    author_name: str
    merged_by: MergedBy
    risk_level: RiskLevel
    task_id: Id | None
    task_goal: str | None
    requested_by: str | None = Field(description="Who made the task.")
    rolls_back: list[Id]
    rolled_back_by: Id | None
    approvals: list[ReportedApproval] = []
    checks: list[ReportedCheck] = []


class ReplayQueue(Model):
    """The branch to build again."""

    target: str | None = Field(None, description="By default the configured one.")

    _replay: Any = PrivateAttr(None)  # a replaying.Replayed


class ReplayedCommit(Model):
    """A landed commit that came out otherwise when it was built again."""

    change_id: Id
    summary: str
    landed_commit: str
    reason: str


class QueueReplay(Model):
    """The branch built again from the log of landings, beside the branch itself."""

    target: str
    ref: str = Field(description="The scratch ref that the rebuilt branch is under.")
    rebuilt_commit: str
    landed_commit: str = Field(description="The last commit that the queue landed.")
    same: bool = Field(description="Whether both have the same files.")
    commits: int = Field(description="Landed commits that were built again.")
    other_commits: int = Field(description="Commits between them that came by no change, taken as they are.")
    not_kept: int = Field(description="Landed commits taken as they are: what was submitted is gone.")
    differing: list[ReplayedCommit]
