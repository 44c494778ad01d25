"""Where things lie: the data folder of a repository, and what the server and its clients read in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TypedDict

from repomesh.kernel.errors import InvalidRequest

DATA = ".repomesh"
DATABASE = "repomesh.db"
TOKEN = "token"
SERVER = "server.json"
LOCK = "lock"
LOG = "server.log"
DAEMON_LOG = "daemon.log"
CONNECT = "connect"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class ServerNote(TypedDict):
    """What a running server says of itself in the data folder."""

    pid: int
    url: str
    version: str


class RepositoryUnreadable(InvalidRequest):
    """Git finds a repository here but refuses to read it."""

    code = "repository_unreadable"
    hint = "Do what git says, or name the data folder with --data or REPOMESH_DATA."


def repository(start: Path) -> Path | None:
    """The folder of the repository around `start`; None outside of any.

    Every linked worktree answers the main one, so that all of them share one server.
    """
    found = _git(start, "rev-parse", "--git-common-dir", "--absolute-git-dir", "--is-bare-repository")
    if found is None:
        return None
    common, own, bare = found
    folder = (start / common).resolve()
    if folder.name == ".git":
        return folder.parent
    if folder == Path(own).resolve() and bare == "false":  # a submodule keeps its folder elsewhere
        top = _git(start, "rev-parse", "--show-toplevel")
        return Path(top[0]) if top else folder
    return folder


def work_tree(start: Path) -> Path:
    """The root of the work tree around `start`, which may be a linked one; `start` itself outside of any."""
    found = _git(start, "rev-parse", "--is-inside-work-tree")
    top = _git(start, "rev-parse", "--show-toplevel") if found == ["true"] else None
    return Path(top[0]) if top else start


def git_path(start: Path, name: str) -> Path | None:
    """Where git keeps `name`, such as 'hooks' or 'info/exclude', for the repository around `start`."""
    found = _git(start, "rev-parse", "--git-path", name)
    return (start / found[0]).resolve() if found else None


def _git(start: Path, *words: str) -> list[str] | None:
    """The lines that git answers; None when there is no repository, or no git."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(start), *words],  # noqa: S607 - the user's git
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        return None
    if done.returncode == 0:
        return done.stdout.splitlines()
    complaint = done.stderr.strip()
    if "not a git repository" in complaint:
        return None
    raise RepositoryUnreadable(complaint.partition("\n")[0] or f"git refused to look into {start}")


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
        candidate = folder / DATA
        if (candidate / TOKEN).exists() and candidate.stat().st_uid == os.getuid():
            return candidate
    return start / DATA


def read_secret(path: Path) -> str | None:
    """The secret in a file, or None when there is none."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def read_server(folder: Path) -> ServerNote | None:
    """What the last server of this folder said of itself; it may have stopped since."""
    try:
        content = json.loads((folder / SERVER).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(content, dict) or not {"pid", "url", "version"} <= content.keys():
        return None
    return ServerNote(pid=content["pid"], url=content["url"], version=content["version"])
