"""Which repository the `.git` of a folder leads to, and whether that repository leads back to the folder.

A folder may bring a `.git` file that names any repository of this machine, so the name alone proves nothing.
Git binds a linked work tree both ways: `.git` leads to `worktrees/NAME` in the repository's git folder, and
the file `gitdir` in there leads back. Reads files only; `connect/hook_main.py` repeats these rules, since it
can't import them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from repomesh.kernel.limits import GIT_FILE_BYTES_MAX


def git_folder(folder: Path) -> Path | None:
    """The real path of the git folder that `folder`/.git is or leads to; None when it is no such thing."""
    git = folder / ".git"
    try:
        mode = git.stat().st_mode
    except (OSError, ValueError):  # a folder that may not be looked into
        return None
    if stat.S_ISDIR(mode):
        return _real(git)
    prefix, separator, target = _first_line(git).partition("gitdir:")
    return _real(folder / target.strip()) if separator and not prefix else None


def common_folder(folder: Path) -> Path | None:
    """The git folder that all work trees of the repository of `folder` share.

    None when `folder` has no `.git`, and when that leads to a repository that does not know this work tree.
    """
    own_git_dir = git_folder(folder)
    if own_git_dir is None:
        return None
    if not os.path.lexists(own_git_dir / "commondir"):
        return own_git_dir  # a repository of its own: a submodule, or one whose git folder was put elsewhere
    common = _real(own_git_dir / _first_line(own_git_dir / "commondir").strip())
    back_link = own_git_dir / _first_line(own_git_dir / "gitdir").strip()
    is_bound = (
        is_linked(own_git_dir, common) and _real(back_link.parent) / back_link.name == _real(folder) / ".git"
    )
    return common if is_bound and not (folder / ".git").is_symlink() else None


def is_linked(own: Path, common: Path) -> bool:
    """Whether the git folder `own` of a linked work tree lies in the repository's, where git puts it."""
    return own.parent == common / "worktrees"


def home(folder: Path) -> Path | None:
    """The folder in which the data folder of the repository of `folder` lies: its main work tree.

    None when `common_folder` answers None. A repository without a main work tree answers its git folder.
    """
    common = common_folder(folder)
    if common is None:
        return None
    if common == git_folder(folder):
        return _real(folder)
    return common.parent if common.name == ".git" else common


def _real(path: Path) -> Path:
    """The path without symbolic links; the same for one that runs in circles."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a null character in a `.git` file
        return path


def _first_line(path: Path) -> str:
    """The first line of a regular file, and nothing of any other: a pipe would wait for its writer."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        text = os.read(descriptor, GIT_FILE_BYTES_MAX)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return os.fsdecode(text).partition("\n")[0]
