"""Where things lie: the data folder of a repository, and what the server and its clients read in it."""

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
    """What a running server says of itself in the record of its data folder."""

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
    found = git.answer(start, "rev-parse", "--git-common-dir", "--absolute-git-dir")
    if found is None:
        return None
    here = start.resolve()
    common, own = (here / found[0]).resolve(), Path(found[1]).resolve()
    place = next((folder for folder in (here, *here.parents) if work_trees.git_folder(folder) == own), None)
    if place is None:
        return _without_work_tree(start, common, own)
    root = work_trees.home(place)
    if root is None:
        raise _foreign(place, common)
    return root


def _without_work_tree(start: Path, common: Path, own: Path) -> Path:
    """The folder of a repository in whose git folder `start` is, or that the environment names."""
    if own != common and not work_trees.is_linked(own, common):
        raise _foreign(own, common)
    if common.name == ".git":
        return common.parent
    if own == common and os.environ.get("GIT_DIR"):
        top = git.answer(start, "rev-parse", "--is-inside-work-tree", "--show-toplevel")
        return Path(top[1]) if top and top[0] == "true" else common
    return common


def _foreign(place: Path, common: Path) -> ForeignWorkTree:
    where = shlex.quote(str(place))
    return ForeignWorkTree(
        f"{place} is no work tree of the repository {common}, to which its .git leads",
        hint=f"If you moved it: git -C {where} worktree repair. If it came from elsewhere, remove its .git, "
        "or name the data folder with --data.",
    )


def work_tree(start: Path) -> Path:
    """The root of the work tree around `start`, which may be a linked one; `start` itself outside of any."""
    found = git.answer(start, "rev-parse", "--is-inside-work-tree")
    top = git.answer(start, "rev-parse", "--show-toplevel") if found == ["true"] else None
    return Path(top[0]) if top else start


def git_path(start: Path, name: str) -> Path | None:
    """Where git keeps `name`, such as 'hooks' or 'info/exclude', for the repository around `start`."""
    found = git.answer(start, "rev-parse", "--git-path", name)
    return (start / found[0]).resolve() if found else None


def data_folder(start: Path) -> Path:
    """The data folder for who stands in `start`: REPOMESH_DATA, the repository's, or the folder's own.

    Outside of git the nearest folder above that has one counts, if it is one's own.
    """
    named = os.environ.get("REPOMESH_DATA")
    if named:
        return (start / named).absolute()
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
        about = folder.lstat()
        has = any(os.path.lexists(folder / name) for name in (trust.ID, TOKEN))
    except OSError:
        return False
    return has and stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def read_secret(path: Path) -> str | None:
    """The secret in a file, or None when there is none. Raises UnsafeFile for a link and the like."""
    content = read_private(path)
    return (content or b"").decode("utf-8", "replace").strip() or None


def read_server(folder: Path) -> ServerNote | None:
    """What the last server of this folder said of itself; it may have stopped since.

    It stands in the folder's record, so that nobody who writes into the repository names another server.
    """
    record = trust.record_of(folder)
    content = trust.read_note(record / SERVER) if record is not None else None
    if content is None or not {"pid", "url", "version"} <= content.keys():
        return None
    return ServerNote(pid=content["pid"], url=content["url"], version=content["version"])


def running_server(folder: Path) -> ServerNote | None:
    """What the server of this folder said of itself, if it runs: it holds the folder's lock.

    After a server was killed its note stays, and any program of the machine may listen on its port by now.
    """
    note = read_server(folder)
    return note if note is not None and note["pid"] == pidfile.holder(folder / LOCK) else None
