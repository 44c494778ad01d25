"""Takes landed changes back, by a change of its own that goes through the same queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from repomesh.adapters.git.errors import RevisionNotFound
from repomesh.adapters.git.merge_results import Conflicted
from repomesh.adapters.git.paths import as_text
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes import rows
from repomesh.domains.changes.building.inspecting import Inspection, agent_signature, read_difference
from repomesh.domains.changes.errors import (
    ChangeEmpty,
    ChangeNotFound,
    ChangeStateConflict,
    RollbackNeedsOrder,
    RollbackScope,
    TooManyChanges,
)
from repomesh.domains.changes.models import (
    CHANGE_SUBMITTED,
    PlanRollback,
    RollBack,
    RollbackPlan,
    SubmitChange,
    SubmittedChange,
)
from repomesh.domains.changes.operations import new_fields, require_room
from repomesh.domains.changes.queue import placing
from repomesh.domains.changes.repositories import PINS, TARGET_ERRORS, Target, on_repository, read_target
from repomesh.domains.changes.tables import changes
from repomesh.kernel import limits
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction

_table = changes.c
_ERRORS = (
    RollbackScope,
    ChangeNotFound,
    ChangeStateConflict,
    *TARGET_ERRORS,
    RevisionNotFound,
)


@dataclass(frozen=True, slots=True)
class _Landed:
    """A change that is on the target: the commit that it landed as, and the one that this stands on."""

    id: str
    summary: str
    commit: str
    base: str
    paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be taken back, with the landed changes of that branch, newest first."""

    ids: frozenset[str]
    to: str | None
    target: str | None
    landed: Sequence[_Landed]
    author_name: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is taken back, newest first, and what stays on top of it."""

    target: Target
    to: str | None
    taken: Sequence[_Landed]
    dependants: Sequence[_Landed]
    other_commits: int


async def _prepare_plan(request: PlanRollback, preparation: Preparation) -> PlanRollback:
    request._plan = await on_repository(preparation, lambda tx: _read(tx, request), _plan)
    return request


@query(
    "change.plan_rollback",
    http=Get("/v1/changes/rollback"),
    scope="changes:read",
    errors=_ERRORS,
    prepare=_prepare_plan,
)
def plan_rollback(tx: Transaction, request: PlanRollback) -> RollbackPlan:
    """Show what a rollback takes back, and which later changes touch the same files."""
    plan: _Plan = request._plan
    return RollbackPlan(
        target=plan.target.branch,
        changes=[rows.as_change(rows.find(tx, landed.id)) for landed in plan.taken],
        dependants=[rows.as_change(rows.find(tx, landed.id)) for landed in plan.dependants],
        other_commits=plan.other_commits,
    )


async def _prepare(request: RollBack, preparation: Preparation) -> RollBack:
    """Make the commit that takes the changes back, on a thread, and keep it."""

    def make(repository: Repository, known: _Request) -> Inspection:
        plan = _plan(repository, known)
        request._plan = plan
        return _revert(repository, plan, known.author_name)

    request._inspection = await on_repository(preparation, lambda tx: _read(tx, request), make)
    return request


@command(
    "change.roll_back",
    http=Post("/v1/changes/rollback", status=201),
    scope="changes:write",
    errors=(*_ERRORS, ChangeEmpty, RollbackNeedsOrder, TooManyChanges),
    prepare=_prepare,
    needs_agent=True,
)
def roll_back_changes(tx: Transaction, request: RollBack) -> SubmittedChange:
    """Take landed changes back, some or all after a commit: one new change reverts them, through the queue.

    Where later changes build on them, so that they can't be reverted alone, the refusal names these.
    """
    inspection: Inspection = request._inspection
    plan: _Plan = request._plan
    require_room(tx)
    submission = SubmitChange(summary=_summary(plan), description=request.reason, priority=request.priority)
    extra = {"attempt": 1, "failures": 0, "rolls_back": [landed.id for landed in plan.taken]}
    made = rows.add(tx, new_fields(tx, submission, inspection) | extra)
    rows.emit(tx, CHANGE_SUBMITTED, made)
    made = placing.reassess(tx, made)
    rows.wake_lane(tx, made.target)
    return rows.as_submitted(made)


def _read(tx: Transaction, request: PlanRollback) -> _Request:
    """Read what was asked for, and the landed changes that it may concern."""
    if bool(request.change_ids) == (request.to is not None):
        raise RollbackScope("a rollback needs either 'change_ids' or 'to'")
    named = [_require_landed(tx, change_id) for change_id in request.change_ids]
    targets = {row.target for row in named} | ({request.target} if request.target else set())
    if len(targets) > 1:
        raise RollbackScope(f"the changes are on several branches: {', '.join(sorted(targets))}")
    target = next(iter(targets), None)
    statement = (
        select(_table.id, _table.summary, _table.landed_commit, _table.landed_base, _table.files)
        .where(_table.workspace_id == tx.workspace_id, _table.state == "landed")
        .order_by(_table.landed_at.desc(), _table.id.desc())
        .limit(limits.ROLLBACK_COMMITS_MAX)
    )
    if named:
        statement = statement.where(_table.landed_at >= min(row.landed_at for row in named))
    if target is not None:
        statement = statement.where(_table.target == target)
    landed = [
        _Landed(
            row.id,
            row.summary,
            row.landed_commit,
            row.landed_base,
            frozenset(file["path"] for file in row.files),
        )
        for row in tx.execute(statement)
    ]
    author_name = tx.caller.agent_name or "repomesh"
    return _Request(frozenset(row.id for row in named), request.to, target, landed, author_name)


def _require_landed(tx: Transaction, change_id: str) -> Row[Any]:
    row = rows.find(tx, change_id)
    if row.state != "landed":
        raise ChangeStateConflict(
            f"change {row.id} is {row.state}; only a landed one is rolled back", state=row.state, possible=[]
        )
    return row


def _plan(repository: Repository, request: _Request) -> _Plan:
    """Find, in the order of the branch, what is taken back and what builds on it."""
    target = read_target(repository, request.target)
    stop = None if request.to is None else repository.resolve(request.to)
    if stop is not None and not repository.is_ancestor(stop, target.tip):
        raise RollbackScope(f"{target.branch} does not have the commit {request.to}")
    by_commit = {landed.commit: landed for landed in request.landed}
    missing = set(request.ids)
    taken: list[_Landed] = []
    later: list[_Landed] = []
    other_commits, until = 0, ""
    for commit in repository.first_parents(target.tip, limits.ROLLBACK_COMMITS_MAX):
        if commit == stop or (stop is None and not missing):
            break
        landed = by_commit.get(commit)
        if landed is not None:
            (taken if stop is not None or landed.id in request.ids else later).append(landed)
            missing.discard(landed.id)
            until = landed.base
        elif commit == until or not until:
            other_commits, until = other_commits + 1, ""
    else:
        if stop is not None or missing:
            raise RollbackScope(
                f"that is not among the last {limits.ROLLBACK_COMMITS_MAX} first parents of {target.branch}"
            )
    if len(taken) > limits.ROLLBACK_CHANGES_MAX:
        raise RollbackScope(
            f"{len(taken)} changes; one rollback takes back {limits.ROLLBACK_CHANGES_MAX} at most"
        )
    paths = frozenset().union(*(landed.paths for landed in taken))
    dependants = [landed for landed in later if landed.paths & paths]
    return _Plan(target, stop, taken, dependants, other_commits if stop is not None else 0)


def _revert(repository: Repository, plan: _Plan, author_name: str) -> Inspection:
    """The commit that takes the changes back, on the target's tip.

    Raises RollbackNeedsOrder and ChangeEmpty.
    """
    tree = plan.target.tree
    if plan.to is not None:
        tree = repository.tree(plan.to)
    else:
        for landed in plan.taken:
            tree = _without(repository, landed, tree, plan.dependants)
    author = agent_signature(author_name)
    lines = "".join(f"- {landed.summary} ({landed.commit[:12]})\n" for landed in plan.taken)
    message = f"{_summary(plan)}\n\nThis takes back:\n{lines}"
    head = repository.write_commit(tree, [plan.target.tip], message, author, author)
    difference = read_difference(repository, plan.target.tip, head, plan.target)
    change_id = new_id()
    repository.pin(f"{PINS}{change_id}/1", head)
    return Inspection(change_id, plan.target.branch, plan.target.tip, head, None, difference)


def _without(repository: Repository, landed: _Landed, tree: str, dependants: Sequence[_Landed]) -> str:
    """A tree without what a landed change changed."""
    base = landed.base or repository.commit(landed.commit).parents[0]
    result = repository.merge_trees(repository.tree(landed.commit), tree, repository.tree(base))
    if not isinstance(result, Conflicted):
        return result.tree
    names = ", ".join(as_text(file.path) for file in result.files[:3])
    conflicting = {as_text(file.path) for file in result.files}
    raise RollbackNeedsOrder(
        f"later changes build on '{landed.summary}' in {names}",
        dependants=[other.id for other in dependants if other.paths & conflicting],
    )


def _summary(plan: _Plan) -> str:
    if len(plan.taken) == 1:
        text = f"Roll back: {plan.taken[0].summary}"
    elif plan.to is not None:
        text = f"Roll back {plan.target.branch} to {plan.to[:12]}"
    else:
        text = f"Roll back {len(plan.taken)} changes"
    return text[: limits.LABEL_CHARS_MAX]
