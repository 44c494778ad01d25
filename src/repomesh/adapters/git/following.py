"""Moves a branch together with the work tree that has it checked out, and never another branch.

`git merge --ff-only` moves whatever HEAD leads to when it comes to that: of a user who switches branches just
then, it would move another branch. So `git update-ref HEAD` makes the move. It locks HEAD and its branch, and
runs the hook `reference-transaction` (git help githooks), which is ours: that refuses where it is not the
branch meant, and moves the files while no git can switch. All of this goes on behind the end of this process,
and git removes its locks.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from repomesh.adapters.git.commands import describe_failure, run_git, user_environment
from repomesh.adapters.git.errors import GitFailed, RefMoved, WorkTreeBusy
from repomesh.adapters.git.paths import as_text
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.work_trees import UNDER_WAY_HINT, WorkTree
from repomesh.kernel import limits

_MERGES = ("MERGE_HEAD", "CHERRY_PICK_HEAD")
_CHANGED_MEANWHILE = b"repomesh: changed meanwhile"
_FILES_MOVED = b"repomesh: files moved"
_HOOK_NAME = "reference-transaction"
_HOOK = f"""#!/bin/sh
# Run by `git update-ref HEAD` with HEAD and its branch locked; see adapters/git/following.py of repomesh.
[ "$1" = prepared ] || exit 0
branch=
while read -r _old _new ref; do
    [ "$ref" = HEAD ] || branch="$branch$ref"
done
set -- $(ls -i -- "$REPOMESH_INDEX")
if [ "$branch" != "$REPOMESH_REF" ] || [ "$1" != "$REPOMESH_INDEX_INODE" ]; then
    echo "{_CHANGED_MEANWHILE.decode()}" >&2
    exit 1
fi
git read-tree -m -u "$REPOMESH_FILES_OLD" "$REPOMESH_FILES_NEW" || exit 1
echo "{_FILES_MOVED.decode()}" >&2
"""


@dataclass(frozen=True, slots=True)
class BlockedByWorkTree(Exception):
    """The branch is checked out in a work tree whose own edits are in the way; nothing was moved."""

    work_tree: str
    files: tuple[str, ...]


class ChangedMeanwhile(Exception):
    """The work tree has another branch or another index than a moment ago; nothing was moved."""


def require_followable(tree: WorkTree, old: str, new: str) -> None:
    """Find out whether the files of a work tree could go from commit `old` to `new` now.

    Raises BlockedByWorkTree, WorkTreeBusy and GitFailed.
    """
    _require_free(tree, old, new)
    tried = _in_tree(tree, "read-tree", "-n", "-m", "-u", old, new, accepted=range(256))
    if tried.returncode:
        raise _not_movable(tree, old, new, tried)


def move_with_tree(
    repository: Repository,
    tree: WorkTree,
    ref: str,
    old: str,
    new: str,
    reason: str,
    inherited_fds: Sequence[int] = (),
) -> None:
    """Move the branch that a work tree has checked out, and the files there, or neither.

    git inherits the locks in `inherited_fds`. Raises ChangedMeanwhile, RefMoved, BlockedByWorkTree,
    WorkTreeBusy and GitFailed.
    """
    hooks = _hook_folder(repository)
    inode = _require_free(tree, old, new)
    move = partial(_update_head, tree, ref, hooks, reason, inherited_fds)
    moved = move((old, new), (old, new), inode)
    if moved.returncode == 0:
        return
    if _FILES_MOVED in moved.stderr:  # and then the ref could not be: back, but for what the user edited
        move((old, old), (new, old), _index_inode(tree))
    if _CHANGED_MEANWHILE in moved.stderr or tree.reads("HEAD") != f"ref: {ref}":
        raise ChangedMeanwhile
    actual = repository.ref(ref)
    if actual != old:
        raise RefMoved(ref, actual)
    raise _not_movable(tree, old, new, moved)


def move_files_only(repository: Repository, tree: WorkTree, ref: str, old: str, new: str) -> None:
    """Move the files of a work tree from `old` to `new`, where its branch is already.

    Raises ChangedMeanwhile, BlockedByWorkTree, WorkTreeBusy and GitFailed.
    """
    hooks = _hook_folder(repository)
    moved = _update_head(
        tree, ref, hooks, "repomesh", (), (new, new), (old, new), _require_free(tree, old, new)
    )
    if moved.returncode:
        raise _not_movable(tree, old, new, moved)


def _update_head(
    tree: WorkTree,
    ref: str,
    hooks: Path,
    reason: str,
    inherited_fds: Sequence[int],
    commits: tuple[str, str],
    files: tuple[str, str],
    inode: int,
) -> subprocess.CompletedProcess[bytes]:
    """Move HEAD's branch, which must be `ref`, from one commit to another, and the files likewise."""
    # The user's own filters and attributes, as for `git pull`: these are the user's files.
    environment = user_environment(
        {
            "REPOMESH_REF": ref,
            "REPOMESH_INDEX": str(tree.index),
            "REPOMESH_INDEX_INODE": str(inode),
            "REPOMESH_FILES_OLD": files[0],
            "REPOMESH_FILES_NEW": files[1],
        }
    )
    return run_git(
        None,
        ["-c", f"core.hooksPath={hooks}", "update-ref", "-m", reason, "HEAD", commits[1], commits[0]],
        work_tree=tree.folder,
        environment=environment,
        accepted=range(256),
        limit_s=limits.QUEUE_REMOTE_S,
        inherited_fds=inherited_fds,
    )


def _hook_folder(repository: Repository) -> Path:
    """A folder for `core.hooksPath` that has our hook and no other. Raises GitFailed."""
    folder = repository.private / "hooks" / hashlib.sha256(_HOOK.encode()).hexdigest()[:16]
    hook = folder / _HOOK_NAME
    try:
        if not hook.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = folder / f"{_HOOK_NAME}.{os.getpid()}.{threading.get_ident()}"
            written.write_text(_HOOK)
            written.chmod(0o700)
            written.replace(hook)
    except OSError as error:
        raise GitFailed(f"{hook} can't be written: {error}") from None
    if not os.access(hook, os.X_OK):  # git would go on without it
        raise GitFailed(f"{hook} can't be executed", hint="Put the data folder where programs may run.")
    return folder


def _require_free(tree: WorkTree, old: str, new: str) -> int:
    """Raise WorkTreeBusy while git merges there, and BlockedByWorkTree for files that git does not know.

    Returns the inode of the index, which the move expects. git itself protects files that are edited, and new
    ones, but `git read-tree` overwrites those that are ignored.
    """
    if _in_tree(tree, "ls-files", "--unmerged").stdout:
        raise WorkTreeBusy(f"the work tree {tree.folder} has unmerged files", hint=UNDER_WAY_HINT)
    for name in _MERGES:
        if tree.reads(name):
            raise WorkTreeBusy(f"{name} is in {tree.git_dir}: a merge is under way", hint=UNDER_WAY_HINT)
    _in_tree(tree, "update-index", "-q", "--refresh", accepted=range(256))
    inode = _settled_index(tree, old)
    if any(True for _ in _unknown_files(tree, old, new)):
        raise BlockedByWorkTree(str(tree.folder), _files_in_the_way(tree, old, new))
    return inode


def _settled_index(tree: WorkTree, commit: str) -> int:
    """The inode of the index when no git can be half way through a switch of branches. Raises WorkTreeBusy.

    `git checkout` writes the index and then HEAD: an index that differs from HEAD's commit and was written
    just now may be another branch's.
    """
    deadline = time.monotonic() + limits.QUEUE_INDEX_WAIT_S
    while time.monotonic() < deadline:
        inode = _index_inode(tree)
        is_old = not inode or time.time() - tree.index.stat().st_mtime > limits.QUEUE_INDEX_SETTLED_S
        if is_old or not _index_differs(tree, commit):
            return inode
        time.sleep(limits.QUEUE_LOCK_POLL_S)
    raise WorkTreeBusy(f"the index of {tree.folder} is written all the time")


def _index_differs(tree: WorkTree, commit: str) -> bool:
    compared = _in_tree(tree, "diff-index", "--cached", "--quiet", commit, "--", accepted=(0, 1))
    return compared.returncode != 0


def _index_inode(tree: WorkTree) -> int:
    try:
        return tree.index.stat().st_ino
    except OSError:
        return 0


def _not_movable(
    tree: WorkTree, old: str, new: str, tried: subprocess.CompletedProcess[bytes]
) -> BlockedByWorkTree | GitFailed:
    """Why git did not move the files: edits that are in the way, or something else."""
    files = _files_in_the_way(tree, old, new)
    if files and b".lock" not in tried.stderr:
        return BlockedByWorkTree(str(tree.folder), files)
    return WorkTreeBusy(f"the work tree {tree.folder} can't be moved: {describe_failure(tried)}")


def _files_in_the_way(tree: WorkTree, old: str, new: str) -> tuple[str, ...]:
    """The files that differ between two commits and were edited in the work tree, or are unknown there."""
    moving = _names(_in_tree(tree, "diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new).stdout)
    edited = _names(_in_tree(tree, "diff-files", "-z", "--name-only").stdout)
    edited |= _names(_in_tree(tree, "diff-index", "-z", "--cached", "--name-only", old, "--").stdout)
    found = (moving & edited) | set(_unknown_files(tree, old, new))
    return tuple(sorted(as_text(path) for path in found))


def _unknown_files(tree: WorkTree, old: str, new: str) -> Iterator[bytes]:
    """The files and links that the index does not know, where `new` adds files or folders."""
    look = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", old, new)
    added = _names(_in_tree(tree, *look).stdout)
    there = [place for path in added for place in _places(tree.folder, path)]
    if there:
        known = _names(_in_tree(tree, "ls-files", "-z").stdout)
        yield from (place for place in there if place not in known)


def _places(root: Path, path: bytes) -> Iterator[bytes]:
    """What there is at a path that a file is to have: it, a file above it, or the files of a folder."""
    place = root
    for part in os.fsdecode(path).split("/"):
        place = place / part
        if not os.path.lexists(place):
            return
        if place.is_symlink() or not place.is_dir():
            yield os.fsencode(place.relative_to(root))
            return
    for folder, _folders, names in os.walk(place):
        yield from (os.fsencode((Path(folder) / name).relative_to(root)) for name in names)


def _names(output: bytes) -> set[bytes]:
    return {name for name in output.split(b"\0") if name}


def _in_tree(
    tree: WorkTree, *words: str, accepted: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a work tree, as its user would. Raises GitFailed."""
    return run_git(None, words, work_tree=tree.folder, environment=user_environment(), accepted=accepted)
