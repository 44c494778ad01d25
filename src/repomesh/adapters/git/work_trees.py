"""The work trees of a repository: which one has a branch checked out, and what git has begun there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from repomesh.adapters.git.errors import WorkTreeBusy
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits

_REBASES = ("rebase-merge/head-name", "rebase-apply/head-name")
UNDER_WAY_HINT = "finish or abort there what git has begun, or remove what a git that crashed has left"


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A work tree, and the git folder that is its own."""

    folder: Path
    git_dir: Path

    @property
    def index(self) -> Path:
        """The file of its index."""
        return self.git_dir / "index"

    def reads(self, name: str) -> str:
        """The content of one of its own files in the git folder; empty where there is none."""
        with suppress(OSError, UnicodeDecodeError):
            return (self.git_dir / name).read_text().strip()
        return ""


def work_tree_of(repository: Repository, ref: str) -> WorkTree | None:
    """The work tree in which a branch is checked out; None where it is in none.

    Raises WorkTreeBusy where the branch can't be moved for now: while it is rebased, a git holds its lock, or
    several work trees have it checked out, of which only one would follow.
    """
    having: list[WorkTree] = []
    for tree in work_trees(repository):
        if any(tree.reads(name) == ref for name in _REBASES):
            raise WorkTreeBusy(f"{ref} is being rebased in {tree.folder}", hint=UNDER_WAY_HINT)
        if tree.reads("HEAD") == f"ref: {ref}":
            having.append(tree)
    if not having:
        return None
    if len(having) > 1:
        shown = ", ".join(str(tree.folder) for tree in having)
        raise WorkTreeBusy(
            f"{ref} is checked out in several work trees: {shown}",
            hint="check out another branch in all of them but one",
        )
    [tree] = having
    # git moves the files first: without the lock of the ref it would leave them moved, and the branch not.
    for lock in (tree.git_dir / "HEAD.lock", repository.git_dir / f"{ref}.lock"):
        if lock.exists():
            raise WorkTreeBusy(f"another git holds {lock}", hint=UNDER_WAY_HINT)
    return tree


def is_at_work(tree: WorkTree) -> bool:
    """Whether a git writes the index of a work tree; not by a lock that is old, which a killed one left."""
    try:
        return time.time() - tree.index.with_name("index.lock").stat().st_mtime < limits.QUEUE_LOCK_S
    except OSError:
        return False


def work_trees(repository: Repository) -> Iterator[WorkTree]:
    """The work trees of a repository that are there: its own, and the linked ones."""
    main = _main_folder(repository)
    if main is not None:
        yield WorkTree(main, repository.git_dir)
    with suppress(OSError):
        for entry in os.scandir(repository.git_dir / "worktrees"):
            tree = WorkTree(Path(), Path(entry.path))
            folder = Path(tree.reads("gitdir")).parent
            if (folder / ".git").exists():  # else it was removed without git's knowledge
                yield WorkTree(folder, tree.git_dir)


def _main_folder(repository: Repository) -> Path | None:
    """The repository's own work tree, beside the linked ones; None where it has none, or nobody knows.

    A git folder elsewhere ('git init --separate-git-dir') does not say where its work tree is: it is the one
    in which the repository was opened.
    """
    configured = _configured_folder(repository.git_dir)
    if configured is not None:
        return configured
    if repository.git_dir.name == ".git":
        return repository.git_dir.parent
    for folder in (repository.path, *repository.path.parents):
        with suppress(OSError, UnicodeDecodeError):
            link = (folder / ".git").read_text().removeprefix("gitdir:").strip()
            return folder if (folder / link).resolve() == repository.git_dir.resolve() else None
    return None


def _configured_folder(git_dir: Path) -> Path | None:
    """The work tree that a git folder's own configuration names, as that of a submodule does."""
    import pygit2

    try:
        return (git_dir / str(pygit2.Config(str(git_dir / "config"))["core.worktree"])).resolve()
    except (KeyError, OSError, ValueError, pygit2.GitError):
        return None
