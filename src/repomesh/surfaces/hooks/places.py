"""Where an edited file lies in its repository, whichever of its work trees it stands in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_GIT_FILE_CHARS = 4_200  # 'gitdir: ' and a path


def in_repository(paths: Iterable[str], cwd: str, workspace: str | None) -> list[str]:
    """The paths from the root of the repository, each once; those that lie outside of it are left out.

    Relative paths are from `cwd`. A linked work tree is the same repository, another repository is not:
    `workspace`, where it is known and can be seen, says which one is meant. Symbolic links are followed, so
    that a file is known by its real place. Reads the file system, and so belongs into a thread.
    """
    own = _root_of(_real(workspace)) if workspace else None
    wanted = _common_folder(own) if own is not None else None
    found: dict[str, None] = {}
    for path in paths:
        place = _real(Path(cwd) / path)
        root = _root_of(place)
        if root is None or (wanted is not None and _common_folder(root) != wanted):
            continue
        inside = place.relative_to(root)
        if inside.parts and inside.parts[0] != ".git":
            found[inside.as_posix()] = None
    return list(found)


def _real(path: str | Path) -> Path:
    """The path without symbolic links, as far as it exists; the same for one that runs in circles."""
    return Path(os.path.realpath(path))


def _root_of(place: Path) -> Path | None:
    """The work tree around a path; None outside of any."""
    return next((folder for folder in (place, *place.parents) if _holds_git(folder)), None)


def _holds_git(folder: Path) -> bool:
    try:
        return (folder / ".git").exists()
    except OSError:  # a folder that may not be looked into
        return False


def _common_folder(root: Path) -> Path:
    """The folder that all work trees of a repository share."""
    git = root / ".git"
    if git.is_dir():
        return _real(git)
    own = root / _first_line(git).removeprefix("gitdir:").strip()
    common = _first_line(own / "commondir").strip()
    return _real(own / common)


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_GIT_FILE_CHARS).partition("\n")[0]
    except OSError:
        return ""
