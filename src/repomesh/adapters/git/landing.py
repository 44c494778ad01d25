"""Moves a branch to a new commit, together with the work tree in which it is checked out and a remote."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from repomesh.adapters.git.commands import describe_failure, run_git, user_environment
from repomesh.adapters.git.errors import GitFailed, RefMoved, WorkTreeBusy
from repomesh.adapters.git.file_locks import moving_ref
from repomesh.adapters.git.following import (
    BlockedByWorkTree,
    ChangedMeanwhile,
    move_files_only,
    move_with_tree,
    require_followable,
)
from repomesh.adapters.git.paths import as_text
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.work_trees import is_at_work, work_tree_of, work_trees
from repomesh.kernel import limits

_TRIES = 5  # while somebody switches branches, or writes the index, just when the branch is moved
_MOVED = (b"stale info", b"fetch first", b"non-fast-forward")
_REFUSED = b"[remote rejected]"


class RemoteMoved(Exception):
    """The remote's branch is not where it was expected; nothing was moved there."""


class RemoteRefused(GitFailed):
    """The remote does not take these commits, by a hook or a rule of its own; nothing was moved there."""


def require_movable(repository: Repository, ref: str, old: str, new: str) -> None:
    """Find out whether `move_branch` could move a branch now, as far as that is known without moving it.

    Raises RefMoved, BlockedByWorkTree, WorkTreeBusy and GitFailed.
    """
    actual = repository.ref(ref)
    if actual != old:
        raise RefMoved(ref, actual)
    tree = work_tree_of(repository, ref)
    if tree is not None:
        require_followable(tree, old, new)


def move_branch(
    repository: Repository, ref: str, old: str, new: str, reason: str, inherited_fds: Sequence[int] = ()
) -> None:
    """Move a branch from `old` to its descendant `new`, with the work tree in which it is checked out.

    git inherits the locks in `inherited_fds`. Raises RefMoved when it is elsewhere, BlockedByWorkTree when
    edits are in the way, WorkTreeBusy and GitFailed; each leaves ref and work tree as they were.
    """
    for _ in range(_TRIES):
        tree = work_tree_of(repository, ref)
        if tree is None:
            with moving_ref(inherited_fds):
                repository.move_ref(ref, old, new, reason, inherited_fds)
            _follow_late_checkout(repository, ref, old, new)
            return
        actual = repository.ref(ref)
        if actual != old:
            raise RefMoved(ref, actual)
        try:
            move_with_tree(repository, tree, ref, old, new, reason, inherited_fds)
        except ChangedMeanwhile:
            continue
        return
    raise WorkTreeBusy(f"{ref} is checked out and left again, or its index is written all the time")


def _follow_late_checkout(repository: Repository, ref: str, old: str, new: str) -> None:
    """Move the files of a work tree that began to check out `ref` before it was moved, and ended behind that.

    Else its user would have a reversal of what landed staged there.
    """
    deadline = time.monotonic() + limits.QUEUE_INDEX_WAIT_S
    for tree in work_trees(repository):
        while is_at_work(tree) and time.monotonic() < deadline:
            time.sleep(limits.QUEUE_LOCK_POLL_S)
    # The branch has moved: 'git status' shows what stays behind.
    with suppress(GitFailed, BlockedByWorkTree, ChangedMeanwhile):
        late = work_tree_of(repository, ref)
        if late is not None:
            move_files_only(repository, late, ref, old, new)


def push(repository: Repository, remote: str, branch: str, old: str | None, new: str) -> None:
    """Push a commit to a remote's branch, which must be at `old`; None if it must not exist.

    Raises RemoteMoved, RemoteRefused and GitFailed.
    """
    pushed = _push(repository, remote, branch, expected=old, refspec=new)
    if pushed.returncode == 0:
        return
    if any(word in pushed.stdout for word in _MOVED):
        raise RemoteMoved(f"{remote}/{branch} is not at {old}")
    if _REFUSED not in pushed.stdout:
        raise GitFailed(f"the push to {remote} failed: {describe_failure(pushed)}")
    refusal = as_text(pushed.stdout[pushed.stdout.index(_REFUSED) :].splitlines()[0])
    raise RemoteRefused(f"{remote} refused the push: {refusal}: {describe_failure(pushed)}")


def push_back(repository: Repository, remote: str, branch: str, new: str, old: str | None) -> None:
    """Take a push back that the local branch did not follow: the remote's branch goes from `new` to `old`.

    Raises GitFailed, also when the branch is no longer at `new`.
    """
    pushed = _push(repository, remote, branch, expected=new, refspec=f"+{old or ''}")
    if pushed.returncode:
        raise GitFailed(f"the push to {remote} can't be taken back: {describe_failure(pushed)}")


def _push(
    repository: Repository, remote: str, branch: str, *, expected: str | None, refspec: str
) -> subprocess.CompletedProcess[bytes]:
    """Push `refspec` to a remote's branch if that is as expected; what git says, also when it refuses."""
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{expected or ''}"
    return run_git(
        repository.git_dir,
        ["push", "--porcelain", "--no-verify", lease, remote, f"{refspec}:{ref}"],
        environment=user_environment(),
        accepted=range(256),
        limit_s=limits.QUEUE_REMOTE_S,
    )


def remote_tip(repository: Repository, remote: str, branch: str) -> str | None:
    """Where a remote's branch is now; None where there is none. Raises GitFailed."""
    listed = run_git(
        repository.git_dir,
        ["ls-remote", "--exit-code", remote, f"refs/heads/{branch}"],
        environment=user_environment(),
        accepted=(0, 2),
        limit_s=limits.QUEUE_REMOTE_S,
    )
    return listed.stdout.split(b"\t")[0].decode() if listed.returncode == 0 else None


def fetch(repository: Repository, remote: str, branch: str) -> str | None:
    """Fetch a remote's branch; returns its tip. Raises GitFailed."""
    tip = remote_tip(repository, remote, branch)
    if tip is not None and not repository.has(tip):
        run_git(
            repository.git_dir,
            ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", remote, f"refs/heads/{branch}"],
            environment=user_environment(),
            limit_s=limits.QUEUE_REMOTE_S,
        )
    return tip
