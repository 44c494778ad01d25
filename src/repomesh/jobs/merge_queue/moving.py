"""Moves a target branch, together with that of a remote where one is configured."""

from __future__ import annotations

from repomesh.adapters.git import landing
from repomesh.adapters.git.errors import GitFailed, RefMoved
from repomesh.adapters.git.following import BlockedByWorkTree
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.queue.processing_models import BranchMove
from repomesh.domains.changes.repositories import Target, configuration_at

_BRANCHES = "refs/heads/"


class Undecided(Exception):
    """Nobody knows yet whether a move takes place: the remote's branch moved, the local one did not follow.

    `blocked` says which edits of a work tree are in the way, where that is the reason.
    """

    def __init__(self, reason: str, blocked: BlockedByWorkTree | None = None) -> None:
        super().__init__(reason)
        self.blocked = blocked


def move(repository: Repository, target: Target, new: str, reason: str, lock: int) -> bool:
    """Move the target branch; returns False when somebody else moved it, or the remote's, meanwhile.

    git inherits `lock`. Raises BlockedByWorkTree, RemoteRefused and GitFailed when nothing was moved, and
    Undecided.
    """
    remote = target.configuration.queue.push
    try:
        if remote is None:
            landing.move_branch(repository, target.ref, target.tip, new, reason, [lock])
        else:
            _move_with_remote(repository, target, remote, new, reason, lock)
    except (RefMoved, landing.RemoteMoved):
        return False
    return True


def has_moved(repository: Repository, branch: str, move: BranchMove, lock: int) -> bool:
    """Whether a move took place whose worker ended before it could say so.

    The branch decides; with a remote that one does, and the branch follows it. Raises Undecided when the
    remote can't be asked, or the branch can't follow.
    """
    if is_on(repository, branch, move):
        return True
    tip = repository.branch_tip(branch)
    if tip is None:
        return False
    remote = configuration_at(repository, move.old_commit).queue.push
    if remote is None:
        return False
    try:
        remote_tip = landing.fetch(repository, remote, branch)
        if remote_tip is None or not repository.is_ancestor(move.new_commit, remote_tip):
            return False
        _follow(repository, branch, tip, remote, remote_tip, lock)
    except BlockedByWorkTree as blocked:
        raise Undecided(f"{remote} has it already", blocked) from None
    except (GitFailed, RefMoved) as error:
        raise Undecided(str(error)) from None
    return True


def is_on(repository: Repository, branch: str, move: BranchMove) -> bool:
    """Whether a branch has what a move intended for it, by the branch itself."""
    tip = repository.branch_tip(branch)
    return tip is not None and repository.is_ancestor(move.new_commit, tip)


def _move_with_remote(
    repository: Repository, target: Target, remote: str, new: str, reason: str, lock: int
) -> None:
    """Move the remote's branch, then the local one; if that can't follow, take the remote's back.

    A remote that is ahead is fetched, and the local branch follows it first: RefMoved says so.
    """
    tip = landing.fetch(repository, remote, target.branch)
    if tip is not None and not repository.is_ancestor(tip, target.tip):
        _follow(repository, target.branch, target.tip, remote, tip, lock)
        raise RefMoved(target.ref, tip)
    landing.require_movable(repository, target.ref, target.tip, new)
    landing.push(repository, remote, target.branch, tip, new)
    try:
        landing.move_branch(repository, target.ref, target.tip, new, reason, [lock])
    except (RefMoved, BlockedByWorkTree, GitFailed):
        try:
            landing.push_back(repository, remote, target.branch, new, tip)
        except GitFailed as error:
            raise Undecided(error.message) from None
        raise


def _follow(repository: Repository, branch: str, old: str, remote: str, new: str, lock: int) -> None:
    """Move the local branch to where the remote's is. Raises as `landing.move_branch` does."""
    if not repository.is_ancestor(old, new):
        raise GitFailed(
            f"{branch} and {remote}/{branch} have diverged",
            hint="merge them by hand, so that one of them has all commits of the other",
        )
    landing.move_branch(repository, _BRANCHES + branch, old, new, f"repomesh: follow {remote}", [lock])
