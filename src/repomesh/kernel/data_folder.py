"""Finds the data folder of a repository, and reads the files in it that server and clients share."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TypedDict

from repomesh.kernel import git, pidfile, trust, work_trees
from repomesh.kernel.private_files import read_private

DATA = ".repomesh"
DATABASE = "repomesh.db"
TOKEN = trust.TOKEN
SERVER = "server.json"
LOCK = "lock"
LOG = "server.log"
DAEMON_LOG = "daemon.log"
CONTENTS = "contents"
CONNECT = "connect"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class ServerNote(TypedDict):
    """What a server writes about itself into the record of its data folder when it starts."""

    pid: int
    url: str
    version: str


class ForeignWorkTree(git.RepositoryUnreadable):
    """A `.git` leads to a repository that does not know the work tree there: its data folder is not used."""

    code = "foreign_work_tree"
    hint = (
        "If you moved the work tree, run 'git worktree repair' in it; if it came from elsewhere, remove .git."
    )


def repository(start: Path) -> Path | None:
    """The folder of the repository around `start`; None outside of any.

    Every linked worktree answers the main one, so that all of them share one server. Raises ForeignWorkTree
    when `.git` leads to a repository that does not lead back.
    """
    git_paths = git.answer(start, "rev-parse", "--git-common-dir", "--absolute-git-dir")
    if git_paths is None:
        return None
    start_folder = start.resolve()
    common_git_dir, own_git_dir = (start_folder / git_paths[0]).resolve(), Path(git_paths[1]).resolve()
    folders = (start_folder, *start_folder.parents)
    tree_root = next((path for path in folders if work_trees.git_folder(path) == own_git_dir), None)
    if tree_root is None:
        return _folder_without_work_tree(start, common_git_dir, own_git_dir)
    root = work_trees.home(tree_root)
    if root is None:
        raise _foreign_work_tree(tree_root, common_git_dir)
    return root


def _folder_without_work_tree(start: Path, common_git_dir: Path, own_git_dir: Path) -> Path:
    """The folder of a repository in whose git folder `start` is, or that the environment names."""
    if own_git_dir != common_git_dir and not work_trees.is_linked(own_git_dir, common_git_dir):
        raise _foreign_work_tree(own_git_dir, common_git_dir)
    if common_git_dir.name == ".git":
        return common_git_dir.parent
    if own_git_dir == common_git_dir and os.environ.get("GIT_DIR"):
        git_lines = git.answer(start, "rev-parse", "--is-inside-work-tree", "--show-toplevel")
        return Path(git_lines[1]) if git_lines and git_lines[0] == "true" else common_git_dir
    return common_git_dir


def _foreign_work_tree(tree_root: Path, common_git_dir: Path) -> ForeignWorkTree:
    quoted_root = shlex.quote(str(tree_root))
    return ForeignWorkTree(
        f"{tree_root} is no work tree of the repository {common_git_dir}, to which its .git leads",
        hint=f"If you moved it: git -C {quoted_root} worktree repair. If it came from elsewhere, remove its "
        ".git, or name the data folder with --data.",
    )


def work_tree(start: Path) -> Path:
    """The root of the work tree around `start`, which may be a linked one; `start` itself outside of any."""
    inside_work_tree = git.answer(start, "rev-parse", "--is-inside-work-tree")
    top_level = git.answer(start, "rev-parse", "--show-toplevel") if inside_work_tree == ["true"] else None
    return Path(top_level[0]) if top_level else start


def git_path(start: Path, name: str) -> Path | None:
    """Where git keeps `name`, such as 'hooks' or 'info/exclude', for the repository around `start`."""
    git_paths = git.answer(start, "rev-parse", "--git-path", name)
    return (start / git_paths[0]).resolve() if git_paths else None


def data_folder(start: Path) -> Path:
    """The data folder that applies in `start`: REPOMESH_DATA, the repository's, or the folder's own.

    Outside of git the nearest folder above that has one counts, if it is one's own.
    """
    configured_folder = os.environ.get("REPOMESH_DATA")
    if configured_folder:
        return (start / configured_folder).absolute()
    root = repository(start)
    if root is not None:
        return root / DATA
    for folder in (start, *start.parents):
        if _is_own(folder / DATA):
            return folder / DATA
    return start / DATA


def _is_own(folder: Path) -> bool:
    """Whether a server of this user was started in the folder."""
    try:
        folder_stat = folder.lstat()
        has_record = any(os.path.lexists(folder / name) for name in (trust.ID, TOKEN))
    except OSError:
        return False
    return has_record and stat.S_ISDIR(folder_stat.st_mode) and folder_stat.st_uid == os.geteuid()


def read_secret(path: Path) -> str | None:
    """The secret in a file, or None when there is none. Raises UnsafeFile for a link and the like."""
    content = read_private(path)
    return (content or b"").decode("utf-8", "replace").strip() or None


def read_server(folder: Path) -> ServerNote | None:
    """The note of the last server of this folder, which may have stopped since; None when there is none.

    It stands in the folder's record, so that nobody who writes into the repository names another server.
    """
    record = trust.record_of(folder)
    content = trust.read_note(record / SERVER) if record is not None else None
    if content is None or not {"pid", "url", "version"} <= content.keys():
        return None
    return ServerNote(pid=content["pid"], url=content["url"], version=content["version"])


def running_server(folder: Path) -> ServerNote | None:
    """The note of the server of this folder; None unless it runs, that is, holds the folder's lock.

    After a server was killed its note stays, and any program of the machine may listen on its port by now.
    """
    note = read_server(folder)
    return note if note is not None and note["pid"] == pidfile.holder(folder / LOCK) else None
