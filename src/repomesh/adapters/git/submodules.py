"""Submodules whose commits are on this machine: checked out for checks, without any network.

`git submodule update` keeps a submodule's objects in `modules/NAME` of the git folder around it. Its names
and paths come from the commit that is checked, so they may be anything.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repomesh.adapters.git.checkouts import Checkout, remove_entry
from repomesh.adapters.git.commands import run_git
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.modes import SUBMODULE
from repomesh.adapters.git.paths import as_text
from repomesh.kernel import limits

_PATH_SETTING = re.compile(rb"submodule\.(?P<name>.+)\.path\n(?P<path>.*)", re.DOTALL)
_ENTRY = re.compile(rb"(?P<mode>\d+) \w+ (?P<oid>[0-9a-f]+)\t(?P<path>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Submodule:
    """A submodule in a commit: where it is kept, where its files belong, and which of its commits."""

    name: str
    path: bytes
    commit: str


def check_out_submodules(outer: Checkout, git_dir: Path, commit: str, depth: int = 0) -> list[str]:
    """Check out the submodules of a commit that is checked out in `outer`, and those in them.

    `git_dir` is the repository's git folder. Returns the paths that stay empty, since their commit is not on
    this machine. Raises GitFailed, also for more than CHECK_SUBMODULES_MAX, and OSError.
    """
    empty: list[str] = []
    for submodule in _submodules(outer, commit):
        path = as_text(submodule.path)
        folder = _plain_folder(outer.folder, submodule.path)
        kept = _kept_in(git_dir / "modules", submodule) if depth < limits.CHECK_SUBMODULES_DEEP_MAX else None
        if kept is None:
            remove_entry(folder)  # the files of another of its commits
            folder.mkdir()
            empty.append(path)
            continue
        digest = hashlib.sha256(os.fsencode(submodule.name) + b"\0" + submodule.path).hexdigest()[:16]
        inner = Checkout(folder, outer.git_dir / "modules" / digest, kept / "objects", outer.inherited_fds)
        inner.check_out(submodule.commit)
        nested = check_out_submodules(inner, kept, submodule.commit, depth + 1)
        empty += [f"{path}/{each}" for each in nested]
    return empty


def _submodules(outer: Checkout, commit: str) -> Iterator[_Submodule]:
    """The submodules of a commit that `.gitmodules` names, at most CHECK_SUBMODULES_MAX."""
    if not (outer.folder / ".gitmodules").is_file():
        return
    look = ["config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.path$"]
    settings = outer.run(*look, accepted=(0, 1, 128))
    names = {
        found["path"]: found["name"] for found in map(_PATH_SETTING.fullmatch, settings.split(b"\0")) if found
    }
    if len(names) > limits.CHECK_SUBMODULES_MAX:
        raise GitFailed(f"the commit has {len(names)} submodules; checks take {limits.CHECK_SUBMODULES_MAX}")
    for path, name in names.items():
        for entry in outer.run("ls-tree", "-z", commit, "--", os.fsdecode(path)).split(b"\0"):
            found = _ENTRY.fullmatch(entry)
            if found and found["path"] == path and found["mode"].decode() == SUBMODULE:
                yield _Submodule(os.fsdecode(name), path, found["oid"].decode())


def _kept_in(modules: Path, submodule: _Submodule) -> Path | None:
    """The git folder that has a submodule's commit; None where there is none below `modules`."""
    kept = modules / submodule.name
    if not (kept / "objects").is_dir() or kept.resolve() != modules.resolve() / submodule.name:
        return None  # a name may be a link or have '..' in it
    look = ["cat-file", "-e", f"{submodule.commit}^{{commit}}"]
    return None if run_git(kept, look, accepted=(0, 1, 128)).returncode else kept


def _plain_folder(root: Path, path: bytes) -> Path:
    """The folder at a path below `root`; what a check put in its way is removed. Raises OSError."""
    folder = root
    for part in os.fsdecode(path).split("/"):
        folder = folder / part
        if folder.is_symlink() or not folder.is_dir():
            remove_entry(folder)
            folder.mkdir()
    return folder
