"""Operations on changes as such: submit, list, show, diff."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, literal, select

from repomesh.adapters.git.errors import (
    CommitMalformed,
    EngineMissing,
    GitFailed,
    NoGitRepository,
    RevisionNotFound,
)
from repomesh.adapters.git.patches.files import PatchRefused
from repomesh.adapters.git.paths import PathRefused
from repomesh.adapters.git.repository import Repository
from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.building import inspecting
from repomesh.domains.changes.building.inspecting import Inspection, KnownHead, SubmissionContext, TakenBack
from repomesh.domains.changes.errors import (
    BundleInvalid,
    ChangeDiffers,
    ChangeEmpty,
    ChangeNotFound,
    ChangeStateConflict,
    ChangeTooLarge,
    ChangeUnrelated,
    DependencyUnknown,
    NoSingleSource,
    NotYourChange,
    TooManyChanges,
)
from repomesh.domains.changes.models import (
    CHANGE_SUBMITTED,
    Change,
    ChangeDetail,
    ChangeDiff,
    ListChanges,
    ShowChange,
    ShowDiff,
    SubmitChange,
    SubmittedChange,
)
from repomesh.domains.changes.queue import placing
from repomesh.domains.changes.repositories import TARGET_ERRORS, on_repository
from repomesh.domains.changes.rules import Placement
from repomesh.domains.changes.tables import changes
from repomesh.domains.leases import leasing, resources
from repomesh.domains.leases.errors import LeaseExpired, NotHolder, StaleFencingToken
from repomesh.domains.tasks import rows as task_rows
from repomesh.domains.tasks.errors import FencingTokenMissing, TaskNotFound
from repomesh.kernel import limits
from repomesh.kernel.budget import budget
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.kernel.preparation import Preparation
from repomesh.store.listing import Listing, equals, whether
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_table = changes.c
_BUILT_ON: list[Any] = [literal(state) for state in (*rules.UNDER_WAY, "landed")]
_REVERTS = changes.alias("reverts")
_REVERT = _REVERTS.c
_HEADS = PreparedStatement(
    select(
        _table.id,
        _table.base_commit,
        _table.head_commit,
        _table.state,
        _REVERT.landed_commit.label("taken_back"),
    )
    .outerjoin(
        _REVERTS, (_REVERT.workspace_id == _table.workspace_id) & (_REVERT.id == _table.rolled_back_by)
    )
    .where(rows.IN_WORKSPACE, _table.author_id == bindparam("author"), _table.state.in_(_BUILT_ON))
    .order_by(_table.id.desc())
    .limit(limits.CHANGE_HEADS_MAX)
)
_HISTORY_MAX = 50  # attempts and checks that one change is shown with


async def _prepare(request: SubmitChange, preparation: Preparation) -> SubmitChange:
    """Look at the submission in git, on a thread, and keep its commit there."""
    request._inspection = await on_repository(
        preparation,
        lambda tx: _read_context(tx, request),
        lambda repository, known: inspecting.inspect(repository, request, known),
        "minutes" if request.bundle is not None else "git",
    )
    return request


def _read_context(tx: Transaction, request: SubmitChange) -> SubmissionContext:
    """What the store knows of a submission: also the changes on whose commits it may build."""
    heads = [KnownHead(id_, rows.find(tx, id_).head_commit, landed=False) for id_ in request.depends_on]
    taken_back: list[TakenBack] = []
    replaced: set[str] = set()
    if request.replaces is not None:  # what waits for it can't be what the new one waits for
        replaced = rows.with_dependants(tx, request.replaces)
    for row in tx.execute(_HEADS, {"ws": tx.workspace_id, "author": tx.caller.agent_id}):
        if row.taken_back is not None:
            taken_back.append(TakenBack(row.base_commit, row.head_commit, row.taken_back))
        elif row.id not in replaced:
            heads.append(KnownHead(row.id, row.head_commit, landed=row.state == "landed"))
    return SubmissionContext(tx.caller.agent_name or "repomesh", heads, taken_back)


@command(
    "change.submit",
    http=Post("/v1/changes", status=201, body_bytes_max=limits.CONTENT_BODY_BYTES_MAX),
    tool=Tool(
        "submit_change",
        "Hand your committed work to the merge queue, which lands it.",
        fields=("summary", "branch", "task_id", "fencing_token", "depends_on"),
    ),
    scope="changes:write",
    errors=(
        *TARGET_ERRORS,
        NoSingleSource,
        RevisionNotFound,
        CommitMalformed,
        PatchRefused,
        PathRefused,
        BundleInvalid,
        ChangeEmpty,
        ChangeUnrelated,
        ChangeTooLarge,
        ChangeDiffers,
        DependencyUnknown,
        ChangeNotFound,
        ChangeStateConflict,
        NotYourChange,
        TooManyChanges,
        TaskNotFound,
        FencingTokenMissing,
        NotHolder,
        LeaseExpired,
        StaleFencingToken,
    ),
    prepare=_prepare,
    needs_agent=True,
)
def submit_change(tx: Transaction, request: SubmitChange) -> SubmittedChange:
    """Submit a change to the merge queue: a branch, a commit, a patch with its base, or a bundle.

    What was submitted is kept as it is now; later commits on the branch don't belong to it. Its files and
    sizes are read from git; where its commits build on those of a change of yours that is still under way, it
    depends on that. It lands by itself as soon as nothing is in its way; `state`, `reason` and
    `next_step` say what that is.
    """
    inspection: Inspection = request._inspection
    require_room(tx)
    if request.task_id is not None:
        if request.fencing_token is None:
            raise FencingTokenMissing("fencing_token: needed with 'task_id', as the task's claim answered it")
        task_rows.find(tx, request.task_id)
        leasing.check(tx, resources.work(resources.TASK, request.task_id), request.fencing_token)
    _require_dependencies(tx, request)
    attempt, failures = _replace(tx, request, inspection.change_id)
    fields = new_fields(tx, request, inspection) | {"attempt": attempt, "failures": failures}
    row = rows.add(tx, fields)
    rows.emit(tx, CHANGE_SUBMITTED, row)
    row = placing.reassess(tx, row)
    rows.wake_lane(tx, row.target)
    return rows.as_submitted(row)


def require_room(tx: Transaction) -> None:
    """Raise TooManyChanges when the queue plans with as many as it can."""
    count = rows.count_under_way(tx)
    if count >= limits.CHANGES_OPEN_MAX:
        raise TooManyChanges(f"{count} changes are under way; the queue takes {limits.CHANGES_OPEN_MAX}")


def _require_dependencies(tx: Transaction, request: SubmitChange) -> None:
    replaced = set() if request.replaces is None else rows.with_dependants(tx, request.replaces)
    if circular := replaced.intersection(request.depends_on):
        raise DependencyUnknown(
            f"depends_on: change {min(circular)} is, or waits for, the change that this one replaces"
        )
    states = rows.states_of(tx, request.depends_on)
    for id_ in request.depends_on:
        if states.get(id_) is None:
            raise DependencyUnknown(f"depends_on: there is no change {id_}")
        if states[id_] in rules.TAKEN_OUT:
            raise DependencyUnknown(f"depends_on: change {id_} is {states[id_]} and will not land")


def _replace(tx: Transaction, request: SubmitChange, new_id: str) -> tuple[int, int]:
    """Supersede the change that this one replaces; returns the new one's attempt and failures so far."""
    if request.replaces is None:
        return 1, 0
    previous = rows.find(tx, request.replaces)
    require_author(tx, previous.author_id, previous.author_name)
    rules.require_allowed("replace", previous.id, previous.state)
    rows.set_state(tx, previous, Placement("superseded", f"change {new_id} is its next attempt"))
    placing.follow_replacement(tx, previous.id, new_id)
    return previous.attempt + 1, previous.failures


def require_author(tx: Transaction, author_id: str | None, author_name: str) -> None:
    """Raise NotYourChange unless the caller is the author, or the owner."""
    if not tx.caller.is_admin and tx.caller.agent_id != author_id:
        raise NotYourChange(f"the change's author is '{author_name}'")


def new_fields(tx: Transaction, request: SubmitChange, inspection: Inspection) -> dict[str, Any]:
    """The columns of a new change, but for `attempt` and `failures`."""
    difference = inspection.difference
    return {
        "workspace_id": tx.workspace_id,
        "id": inspection.change_id,
        "summary": request.summary,
        "description": request.description,
        "state": "submitted",
        "reason": "it was just submitted",
        "next_step": "",
        "author_id": tx.caller.acting_agent(),
        "author_name": tx.caller.agent_name,
        "target": inspection.target,
        "branch": inspection.branch,
        "base_commit": inspection.base_commit,
        "head_commit": inspection.head_commit,
        "patch_id": difference.patch_id,
        "tries": 0,
        "priority": request.priority,
        "task_id": request.task_id,
        "fencing_token": request.fencing_token,
        "depends_on": list(dict.fromkeys((*request.depends_on, *inspection.builds_on))),
        "declared_scope": list(request.declared_scope),
        "tests": [test.model_dump() for test in request.tests],
        "conflicts": [],
        "rolls_back": [],
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
        **difference_fields(difference),
    }


def difference_fields(difference: inspecting.Difference) -> dict[str, Any]:
    """The columns of a change that follow from what it changes, and from the queue's configuration."""
    return {
        **rows.file_columns(difference.files),
        "risk_level": difference.risk.level,
        "risk_reasons": difference.risk.reasons,
        "needed": difference.needed.model_dump(),
        "owners": difference.owners,
        "barrier": difference.barrier,
        "escalates_h": difference.approval.escalates_h,
        "expires_h": difference.approval.expires_h,
    }


_LISTING = Listing(
    Page[Change],
    rows.as_change,
    keys=(_table.id,),
    descending=True,
    filters={
        "state": equals(_table.state),
        "waits_for": equals(_table.waits_for),
        "task_id": equals(_table.task_id),
        "author": lambda tx, agent: _table.author_id == find_agent(tx, agent).id,
        "open": whether(_table.state.in_(rules.NOT_ENDED)),
    },
)


@query("change.list", http=Get("/v1/changes"), scope="changes:read", errors=(AgentNotFound,))
def list_changes(tx: Transaction, request: ListChanges) -> Page[Change]:
    """List changes, newest first."""
    statement = rows.SUMMARY.where(_table.workspace_id == tx.workspace_id)
    return _LISTING.read(tx, statement, request)


@query("change.show", http=Get("/v1/changes/{change_id}"), scope="changes:read", errors=(ChangeNotFound,))
def show_change(tx: Transaction, request: ShowChange) -> ChangeDetail:
    """Show a change: its files, conflicts, checks, approvals and attempts."""
    row = rows.find(tx, request.change_id)
    return ChangeDetail(
        **rows.as_submitted(row).model_dump(),
        description=row.description,
        declared_scope=row.declared_scope,
        tests=row.tests,
        conflicts=row.conflicts,
        checks=rows.checks_of(tx, row.id, _HISTORY_MAX),
        approvals=rows.approvals_of(tx, row.id, row.patch_id),
        missing=placing.missing_approval(tx, row),
        attempts=rows.attempts_of(tx, row.id, _HISTORY_MAX),
    )


async def _prepare_diff(request: ShowDiff, preparation: Preparation) -> ShowDiff:
    chars = budget(request.max_chars)

    def read(repository: Repository, row: Row[Any]) -> tuple[Row[Any], str, bool]:
        base, head = (repository.tree(commit) for commit in _shown_commits(row))
        difference = repository.compare(base, head, limits.CHANGE_FILES_MAX)
        assert difference is not None, "it was submitted with no more files"
        return row, *difference.text(chars)

    request._diff = await on_repository(preparation, lambda tx: rows.find(tx, request.change_id), read)
    return request


def _shown_commits(row: Row[Any]) -> tuple[str, str]:
    """The commits between which the present patch of a change is."""
    return (row.built_base, row.built_head) if row.built_head else (row.base_commit, row.head_commit)


@query(
    "change.diff",
    http=Get("/v1/changes/{change_id}/diff"),
    scope="changes:read",
    errors=(ChangeNotFound, EngineMissing, NoGitRepository, GitFailed, RevisionNotFound),
    prepare=_prepare_diff,
)
def show_diff(tx: Transaction, request: ShowDiff) -> ChangeDiff:
    """Show the unified diff of a change: as it was submitted, or as the queue rebuilt it into another patch.

    It is that of `patch_id`, which an approval is for.
    """
    row, text, whole = request._diff
    base, head = _shown_commits(row)
    return ChangeDiff(
        id=row.id,
        patch_id=row.patch_id,
        base_commit=base,
        head_commit=head,
        diff=text,
        truncated=not whole,
    )
