"""Checks out commits into a folder, with a git folder beside it that nothing in the folder can write to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repomesh.adapters.git.commands import run_git
from repomesh.kernel import limits

_PRIVATE = 0o700
_CONFIGURATION = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder for the files of commits whose objects are in `objects`. `git_dir` is for git alone.

    `inherited_fds` are the file descriptors that git inherits.
    """

    folder: Path
    git_dir: Path
    objects: Path
    inherited_fds: Sequence[int] = ()

    def check_out(self, commit: str) -> None:
        """Make the folder hold exactly the files of a commit. Raises GitFailed and OSError."""
        is_there = self.folder.is_dir() and not self.folder.is_symlink()
        if not is_there or not (self.git_dir / "index").exists():
            self._begin()
        (self.git_dir / "index.lock").unlink(missing_ok=True)  # of a git that was killed
        remove_entry(self.folder / ".git")
        self.run("read-tree", "--reset", "-u", commit)
        self.run("clean", "-ffdxq")
        _make_git_folder(self.folder / ".git", self.objects, commit)
        shutil.copy2(self.git_dir / "index", self.folder / ".git" / "index")

    def run(self, *arguments: str, accepted: Sequence[int] = (0,)) -> bytes:
        """What a git command prints that works on the folder. Raises GitFailed."""
        command = ["--work-tree", str(self.folder), *arguments]
        limit_s = limits.QUEUE_REMOTE_S
        return run_git(
            self.git_dir, command, limit_s=limit_s, inherited_fds=self.inherited_fds, accepted=accepted
        ).stdout

    def _begin(self) -> None:
        """Begin with an empty folder: nothing says what is in one that is there."""
        remove_entry(self.folder)
        remove_entry(self.git_dir)
        self.folder.mkdir(mode=_PRIVATE, parents=True)
        _make_git_folder(self.git_dir, self.objects)


def _make_git_folder(folder: Path, objects: Path, commit: str | None = None) -> None:
    """Make a git folder whose objects are those of `objects`, with `commit` checked out if there is one."""
    folder.mkdir(mode=_PRIVATE, parents=True)
    (folder / "objects" / "info").mkdir(parents=True)
    (folder / "refs" / "heads").mkdir(parents=True)
    (folder / "config").write_text(_CONFIGURATION)
    (folder / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    (folder / "HEAD").write_text(f"{commit or 'ref: refs/heads/none'}\n")
    shallow = objects.parent / "shallow"
    if shallow.is_file():
        shutil.copy2(shallow, folder / "shallow")


def remove_entry(path: Path) -> None:
    """Remove whatever stands at a path, and nothing behind a link. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
