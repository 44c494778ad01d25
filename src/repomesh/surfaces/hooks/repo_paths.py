"""Where what is written lies in its repository, whichever of its work trees it stands in.

Reads the file system at paths that callers name, and so belongs into a thread of `jobs.lookups`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from repomesh.domains.overview.hook_models import GuardEdit
from repomesh.kernel import file_names, work_trees
from repomesh.kernel.limits import EDITED_PATHS_MAX, FILE_PATH_CHARS_MAX
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteSet, WriteTarget

_WILD = frozenset("*?[")


def in_repository(writes: WriteSet, cwd: str, workspace: str | None) -> GuardEdit | None:
    """What is written, from the root of the repository; None when all of it lies outside.

    Relative paths are from `cwd`. A linked work tree is the same repository, another repository is not:
    `workspace`, where it is known and can be seen, says which one is meant. Symbolic links are followed, so
    that a file is known by its real place, and by its own name too.
    """
    if not writes:
        return None
    found = _Found(cwd, workspace)
    for target in writes.targets:
        found.add(target)
    reason = writes.unresolved if found.concerns_cwd() else ""
    return found.request(reason or found.unresolved)


@dataclass(slots=True)
class _Found:
    """The names inside of the repository, as they are found."""

    cwd: str
    workspace: str | None
    own: Path | None = None
    common: Path | None = None
    here: Path | None = None
    unresolved: str = ""
    files: dict[str, None] = field(default_factory=dict)
    folders: dict[str, None] = field(default_factory=dict)
    globs: dict[str, None] = field(default_factory=dict)
    _known: dict[Path, Path | None] = field(default_factory=dict)
    _ours: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own = self._root_of(_real(self.workspace)) if self.workspace else None
        self.common = work_trees.common_folder(self.own) if self.own is not None else None
        self.here = self._root_of(_real(self.cwd)) if _is_absolute(self.cwd) else None

    def concerns_cwd(self) -> bool:
        """Whether a command that runs in `cwd` runs in this repository, as far as that can be seen."""
        if self.here is None:
            return not _is_absolute(self.cwd)
        return self._is_ours(self.here)

    def add(self, target: WriteTarget) -> None:
        """Look one target up."""
        path = target.path
        if path.startswith("~"):
            path = os.path.expanduser(path)  # noqa: PTH111 - of an unknown user it stays as it is
        if not _is_absolute(path):
            if not _is_absolute(self.cwd):
                self.unresolved = self.unresolved or "the folder that its paths are from is not known"
                return
            path = f"{self.cwd}/{path}"
        if target.extent is TargetExtent.GLOB:
            self._glob(path)
        elif target.extent is TargetExtent.WORK_TREE:
            self._work_tree(path)
        elif target.extent is TargetExtent.INTO:
            if path.endswith("/") or len(target.names) > 1 or Path(path).is_dir():
                for name in target.names:
                    self._name(f"{path}/{name}", whole=True)
            else:
                self._name(path, whole=True)
        else:
            self._name(path, whole=target.extent is TargetExtent.TREE)

    def request(self, reason: str) -> GuardEdit | None:
        """The question to the lock table."""
        if max(map(len, (self.files, self.folders, self.globs))) > EDITED_PATHS_MAX:
            reason = f"it names more than {EDITED_PATHS_MAX} paths"
        if reason:
            return GuardEdit(unresolved=reason)
        if not (self.files or self.folders or self.globs):
            return None
        return GuardEdit(files=tuple(self.files), folders=tuple(self.folders), globs=tuple(self.globs))

    def _name(self, path: str, *, whole: bool) -> None:
        """A file, or with `whole` also a folder with all below it: by its real place, and as it is named."""
        folder = whole and (Path(path).is_dir() or not os.path.lexists(path))
        for place in dict.fromkeys((_real(path), _named(path))):
            if folder and self._is_around(place):
                self.folders[file_names.ROOT] = None
            inside = self._inside(place)
            if inside is not None:
                self._keep(inside, self.folders if folder else self.files, folder=folder)

    def _keep(self, inside: str, names: dict[str, None], *, folder: bool) -> None:
        if not inside and not folder:
            return
        try:
            names[file_names.encode(inside)] = None
        except ValueError as error:
            self.unresolved = self.unresolved or str(error)

    def _inside(self, place: Path) -> str | None:
        """The name from the root of the repository; None outside of it, and in git's own folder."""
        root = self._root_of(place)
        if root is None or not self._is_ours(root):
            return None
        inside = place.relative_to(root)
        if inside.parts[:1] == (".git",):
            return None
        return "" if not inside.parts else inside.as_posix()

    def _is_around(self, place: Path) -> bool:
        """Whether the repository's own work tree, or that of `cwd`, lies below a folder."""
        return any(True for _ in self._below(place))

    def _is_ours(self, root: Path) -> bool:
        if root not in self._ours:
            self._ours[root] = self.common is None or work_trees.common_folder(root) == self.common
        return self._ours[root]

    def _root_of(self, place: Path) -> Path | None:
        """The work tree around a path; None outside of any. Each folder is looked at once."""
        above = list[Path]()
        root = None
        for folder in (place, *place.parents):
            if folder in self._known:
                root = self._known[folder]
                break
            above.append(folder)
            if _holds_git(folder):
                root = folder
                break
        self._known |= dict.fromkeys(above, root)
        return root

    def _glob(self, path: str) -> None:
        """A shell's glob: the folder in front of it is looked up, the rest stays a pattern."""
        parts = Path(path).parts
        first = next((at for at, part in enumerate(parts) if not _WILD.isdisjoint(part)), len(parts))
        place, rest = _real(Path(*parts[:first])), parts[first:]
        if any(_fits(root.relative_to(place).parts, rest) for root in self._below(place)):
            self.folders[file_names.ROOT] = None
        inside = self._inside(place)
        if inside is None:
            return
        if ".." in rest:
            self._keep(inside, self.folders, folder=True)
            return
        pattern = "/".join((*((inside,) if inside else ()), *rest, "**"))
        if len(pattern) > FILE_PATH_CHARS_MAX:
            self._keep(inside, self.folders, folder=True)
        else:
            self.globs[file_names.shown(pattern)] = None

    def _below(self, place: Path) -> Iterator[Path]:
        for root in (self.own, self.here if self.concerns_cwd() else None):
            if root is not None and root != place and root.is_relative_to(place):
                yield root

    def _work_tree(self, path: str) -> None:
        """All of the work tree around a path, if it is the main one: a linked one is somebody's own."""
        root = self._root_of(_real(path))
        if root is not None and self._inside(root) == "" and (root / ".git").is_dir():
            self.folders[file_names.ROOT] = None


def _fits(parts: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    """Whether a glob may name one of the folders on the way to a place below it."""
    return "**" in globs or all(fnmatchcase(part, glob) for part, glob in zip(parts, globs, strict=False))


def _is_absolute(path: str) -> bool:
    return path.startswith("/") and "\0" not in path


def _real(path: str | Path) -> Path:
    """The path without symbolic links, as far as it exists; the same for one that runs in circles."""
    return Path(os.path.realpath(path))


def _named(path: str) -> Path:
    """The path itself, which may be a link, in the real place of its folder."""
    path = os.path.normpath(path)
    folder, name = os.path.split(path)
    return _real(folder) / name if name else _real(path)


def _holds_git(folder: Path) -> bool:
    """Whether `.git` is there, and is what git takes for it: a folder or a regular file."""
    try:
        mode = (folder / ".git").stat().st_mode
    except (OSError, ValueError):  # a folder that may not be looked into
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
