"""Attempts that failed by no fault of their change: the queue tries them again by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repomesh.adapters.git.errors import GitFailed, WorkTreeBusy
from repomesh.adapters.git.following import BlockedByWorkTree
from repomesh.domains.changes import rules
from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.models import WaitsFor
from repomesh.domains.changes.queue.processing_models import FailedChange, QueuedChange
from repomesh.kernel import limits

_CLEAR_WORK_TREE = "commit, stash or remove them there"


def infrastructure_failure(change: QueuedChange, reason: str, base: str = "") -> FailedChange:
    """A failure of git, the disk or the network. `base` is the commit on which it was built, if any."""
    return FailedChange(
        change_id=change.id,
        error_class="infrastructure",
        reason=reason[: limits.QUEUE_ERROR_CHARS_MAX],
        next_step="the queue tries it again",
        base=base,
    )


def blocked_by(built: Built, error: BlockedByWorkTree) -> FailedChange:
    """A landing that edits in a work tree of the target branch are in the way of."""
    return FailedChange(
        change_id=built.change.id,
        error_class="infrastructure",
        reason=_describe_blocked(error),
        next_step=_CLEAR_WORK_TREE,
        base=built.parent,
        waits_for="work_tree",
    )


def describe_undecided(reason: str, blocked: BlockedByWorkTree | None) -> dict[str, Any]:
    """Why nobody knows yet whether a landing took place: `reason`, `next_step` and `waits_for`."""
    if blocked is None:
        return {"reason": reason, "next_step": "the queue looks again", "waits_for": "retry"}
    reason = f"{reason}; {_describe_blocked(blocked)}"
    return {"reason": reason, "next_step": _CLEAR_WORK_TREE, "waits_for": "work_tree"}


def _describe_blocked(error: BlockedByWorkTree) -> str:
    """Which edits are in the way, in words."""
    return f"edits in {error.work_tree} are in the way: {rules.name_some(error.files)}"


def failed_by_git(built: Built, error: GitFailed) -> FailedChange:
    """A failure of git with what to do about it; of a work tree, that is to be done there."""
    waits_for: WaitsFor = "work_tree" if isinstance(error, WorkTreeBusy) else "retry"
    failed = infrastructure_failure(built.change, error.message, built.parent)
    return failed.model_copy(update={"next_step": error.hint, "waits_for": waits_for})


def changes_blocked_by(stack: Sequence[Built], error: BlockedByWorkTree) -> Sequence[Built]:
    """The changes of a stack that touch what was edited; the others are built again without them."""

    def touches(built: Built) -> bool:
        paths = [file.path for file in built.difference.files]
        return any(path == held or path.startswith(f"{held}/") for path in paths for held in error.files)

    return [built for built in stack if touches(built)] or stack
