"""Builds the target branch again from the log of landings, to see that the log accounts for every file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select

from repomesh.adapters.git.errors import RevisionNotFound
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes import rows
from repomesh.domains.changes.building.stacks import Built, build
from repomesh.domains.changes.errors import NoLane
from repomesh.domains.changes.queue.models import QueueReplay, ReplayedCommit, ReplayQueue
from repomesh.domains.changes.queue.processing_models import LandedCommit, QueuedChange
from repomesh.domains.changes.repositories import TARGET_ERRORS, on_repository, read_target, target_at
from repomesh.domains.changes.tables import landings
from repomesh.kernel import limits
from repomesh.kernel.operation import Post, query
from repomesh.kernel.preparation import Preparation
from repomesh.store.transaction import Transaction

REPLAYS = "refs/repomesh/replay/"
"""Scratch refs of branches that were built again."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A landed commit with the change that it came from."""

    change: QueuedChange
    landed: LandedCommit


@dataclass(slots=True)
class Replayed:
    """The branch as it was built again, and what differs."""

    target: str
    ref: str = ""
    rebuilt: str = ""
    landed: str = ""
    same: bool = True
    commits: int = 0
    other_commits: int = 0
    not_kept: int = 0
    differing: list[ReplayedCommit] = field(default_factory=list)


async def _prepare(request: ReplayQueue, preparation: Preparation) -> ReplayQueue:
    """Read the log of landings, and build the branch again on a thread."""
    branch = request.target
    if branch is None:
        branch = await on_repository(preparation, lambda _tx: None, lambda git, _: read_target(git).branch)
    request._replay = await on_repository(
        preparation,
        lambda tx: _read_steps(tx, branch),
        lambda git, steps: _replay(git, branch, steps),
        use="minutes",
    )
    return request


@query(
    "queue.replay",
    http=Post("/v1/queue/replay"),
    scope="changes:write",
    errors=(
        NoLane,
        *TARGET_ERRORS,
        RevisionNotFound,
    ),
    prepare=_prepare,
)
def replay_queue(tx: Transaction, request: ReplayQueue) -> QueueReplay:
    """Build the branch again from the log of landings into a scratch ref, and compare their files.

    Each landed change is merged anew, in the order of the log, on the rebuilt commit before it. Commits that
    came by no change are taken as they are, and so are changes whose submitted commit is not kept any more.
    """
    replayed: Replayed = request._replay
    return QueueReplay(
        target=replayed.target,
        ref=replayed.ref,
        rebuilt_commit=replayed.rebuilt,
        landed_commit=replayed.landed,
        same=replayed.same,
        commits=replayed.commits,
        other_commits=replayed.other_commits,
        not_kept=replayed.not_kept,
        differing=replayed.differing,
    )


def _read_steps(tx: Transaction, target: str) -> list[_Step]:
    """The last landed commits of a branch, oldest first. Raises NoLane where nothing has landed."""
    table = landings.c
    statement = (
        select(table.commits)
        .where(table.workspace_id == tx.workspace_id, table.target == target, table.outcome == "landed")
        .order_by(table.id.desc())
    )
    steps: list[_Step] = []
    for row in tx.execute(statement):
        for entry in reversed(row.commits):
            landed = LandedCommit(**entry)
            steps.append(_Step(rows.as_queued(tx, rows.find(tx, landed.change_id)), landed))
        if len(steps) >= limits.REPLAY_COMMITS_MAX:
            break
    if not steps:
        raise NoLane(f"nothing has landed on '{target}'")
    return steps[::-1]


def _replay(repository: Repository, branch: str, steps: Sequence[_Step]) -> Replayed:
    """Merge each change on what was rebuilt before it, and compare each tree with the landed one."""
    replayed = Replayed(branch, f"{REPLAYS}{branch}", landed=steps[-1].landed.commit)
    rebuilt = previous = steps[0].landed.parent
    for step in steps:
        if step.landed.parent != previous:  # the branch was moved by hand in between
            between = repository.commits_between(previous, step.landed.parent, limits.REPLAY_COMMITS_MAX)
            replayed.other_commits += len(between)
            rebuilt = step.landed.parent
        rebuilt = _rebuild(repository, branch, step, rebuilt, replayed)
        previous = step.landed.commit
    replayed.rebuilt = rebuilt
    replayed.same = repository.tree(rebuilt) == repository.tree(replayed.landed)
    repository.pin(replayed.ref, rebuilt)  # of two at once, the last one to end stays
    return replayed


def _rebuild(repository: Repository, branch: str, step: _Step, parent: str, replayed: Replayed) -> str:
    """The commit of one change on `parent`; where it can't be built so, the one that landed."""
    if not repository.has(step.change.head_commit):
        replayed.not_kept += 1
        return step.landed.commit
    replayed.commits += 1
    result = build(repository, step.change, parent, target_at(repository, branch, step.landed.parent))
    if isinstance(result, Built) and result.tree == repository.tree(step.landed.commit):
        return result.commit
    reason = f"its files are those of {result.commit[:12]}" if isinstance(result, Built) else result.reason
    differing = ReplayedCommit(
        change_id=step.change.id,
        summary=step.change.summary,
        landed_commit=step.landed.commit,
        reason=reason,
    )
    replayed.differing.append(differing)
    return result.commit if isinstance(result, Built) else step.landed.commit
