"""Work trees for checks: each a folder with a git folder of its own, reused from one commit to the next.

What a check leaves behind must neither run nor be believed when the next commit is checked out. So git works
with a folder beside the work tree, where no sandboxed check can write: it has the settings and the index, by
which git knows what is in the work tree. The `.git` inside is for the check alone, and made anew each time.

A tree is locked as long as anything runs in it that inherited the lock. So neither another server of this
machine, nor one that starts where one was killed, checks out files below a check that is still running.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path

from repomesh.adapters.git.checkouts import Checkout
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.file_locks import try_lock
from repomesh.adapters.git.repository import Repository
from repomesh.adapters.git.submodules import check_out_submodules
from repomesh.kernel import limits

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own, made with mode 0700, below it
"""The folder of files in memory."""

_PREFIX = f"repomesh-{os.geteuid()}-"
_PRIVATE = 0o700


class CheckTree:
    """One work tree, the first below `root` that is free. It shares the repository's objects, nothing else.

    `lock` is a file descriptor that everything inherits that runs in it, `objects` the folder of the objects.
    Raises GitFailed when none is free.
    """

    def __init__(self, repository: Repository, root: Path) -> None:
        for number in range(limits.CHECK_TREES_MAX):
            lock = try_lock(root / f"{number}.lock")
            if lock is not None:
                break
        else:
            raise GitFailed(f"all {limits.CHECK_TREES_MAX} work trees in {root} are in use")
        if not _is_private(root):  # somebody made it anew when its last holder had removed it
            os.close(lock)
            raise GitFailed(f"{root} is not a folder of this user's alone")
        self.lock = lock
        self.folder = folder = root / str(number)
        self.objects = repository.objects
        self._repository_dir = repository.git_dir
        self._checkout = Checkout(folder, folder.with_suffix(".git"), repository.objects, [lock])

    def check_out(self, commit: str) -> list[str]:
        """Make the folder hold exactly the files of a commit; what checks left behind is removed.

        Returns the paths of submodules that stay empty, since their commit is not here. Raises GitFailed.
        """
        os.utime(self.lock)
        try:
            self._checkout.check_out(commit)
            return check_out_submodules(self._checkout, self._repository_dir, commit)
        except OSError as error:
            raise GitFailed(f"the work tree for checks can't be made: {error}") from None

    def remove(self) -> None:
        """Remove the folder, and the one around it when it was the last there."""
        _remove(self.folder, self.lock)


def remove_left(folder: Path) -> None:
    """Remove the work trees that killed servers left, if nothing has run in them for CHECK_TREES_LEFT_S.

    In memory those of all servers of this machine, on disk those of the workspaces in `folder`. A server that
    starts again soon uses them again.
    """
    before = time.time() - limits.CHECK_TREES_LEFT_S
    for root in (*SHARED_MEMORY.glob(f"{_PREFIX}*"), *folder.glob("*/checks")):
        for file in root.glob("*.lock") if _is_private(root) else ():
            with suppress(OSError):
                lock = try_lock(file) if file.stat().st_mtime < before else None
                if lock is not None:
                    _remove(file.with_suffix(""), lock)


def _remove(tree: Path, lock: int) -> None:
    """Remove a work tree, its lock, and the folder around it if that is empty then."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.rmtree(tree.with_suffix(".git"), ignore_errors=True)
    tree.with_suffix(".lock").unlink(missing_ok=True)
    os.close(lock)
    with suppress(OSError):
        tree.parent.rmdir()


def root_for(private: Path) -> Path:
    """The folder of a workspace's work trees: in memory where there is room, else in the data folder.

    In memory everybody can make a folder of any name: one that is not this user's alone is left alone.
    """
    root = SHARED_MEMORY / f"{_PREFIX}{private.name}"
    with suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free >= limits.CHECK_MEMORY_FREE_MIN:
            with suppress(FileExistsError):
                root.mkdir(mode=_PRIVATE)
            if _is_private(root):
                return root
    return private / "checks"


def _is_private(folder: Path) -> bool:
    """Whether it is a folder, no link, of this user, which nobody else may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
