"""Finds the names, within the repository, of files that are about to be written in any of its work trees.

Reads the file system at paths that callers name, so it must run in a thread of `jobs.lookups`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from repomesh.domains.overview.cli_hooks.models import GuardEdit
from repomesh.kernel import file_names, work_trees
from repomesh.kernel.limits import EDITED_PATHS_MAX, FILE_PATH_CHARS_MAX, GIT_MODULES_BYTES_MAX
from repomesh.surfaces.hooks.dialects.writes import TargetExtent, WriteSet, WriteTarget

_SUBMODULE_PATH = re.compile(r"(?m)^[ \t]*path[ \t]*=[ \t]*(.+?)[ \t\r]*$")
_WILD = frozenset("*?[")


def find_repository_paths(writes: WriteSet, cwd: str, workspace: str | None) -> GuardEdit | None:
    """The written files, relative to the root of the repository; None when all of them lie outside.

    Relative paths are from `cwd`. A linked work tree belongs to the repository, another repository does not:
    `workspace`, if known and visible, is its folder. Links are followed: a file counts under its real
    path, and under its own name, too.
    """
    if not writes:
        return None
    paths = _RepositoryPaths(cwd, workspace)
    for target in writes.targets:
        paths.add(target)
    reason = writes.unresolved if paths.concerns_cwd() else ""
    return paths.request(reason or paths.unresolved)


@dataclass(slots=True)
class _RepositoryPaths:
    """Collects the names within the repository."""

    cwd: str
    workspace: str | None
    workspace_root: Path | None = None
    workspace_git_folder: Path | None = None
    cwd_root: Path | None = None
    unresolved: str = ""
    files: dict[str, None] = field(default_factory=dict)
    folders: dict[str, None] = field(default_factory=dict)
    globs: dict[str, None] = field(default_factory=dict)
    _roots: dict[Path, Path | None] = field(default_factory=dict)
    _own_roots: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workspace_root = self._root_of(_real_path(self.workspace)) if self.workspace else None
        self.workspace_git_folder = (
            work_trees.common_folder(self.workspace_root) if self.workspace_root is not None else None
        )
        self.cwd_root = self._root_of(_real_path(self.cwd)) if _is_absolute(self.cwd) else None

    def concerns_cwd(self) -> bool:
        """Whether `cwd` lies in this repository, or may do so because it is unknown."""
        if self.cwd_root is None:
            return not _is_absolute(self.cwd)
        return self._is_ours(self.cwd_root)

    def add(self, target: WriteTarget) -> None:
        """Look up one target, and add its names."""
        path = target.path
        if path.startswith("~"):
            path = os.path.expanduser(path)  # noqa: PTH111 - of an unknown user it stays as it is
        if not _is_absolute(path):
            if not _is_absolute(self.cwd):
                self.unresolved = self.unresolved or "the folder that its paths are from is not known"
                return
            path = f"{self.cwd}/{path}"
        if target.extent is TargetExtent.GLOB:
            self._add_glob(path)
        elif target.extent is TargetExtent.WORK_TREE:
            self._add_work_tree(path)
        elif target.extent is TargetExtent.FROM_TOP:
            self._add_from_top(path, target.names)
        elif target.extent is TargetExtent.PROJECT:
            self._add_project(path, target.names)
        elif target.extent is TargetExtent.SUBMODULES:
            self._add_submodules(path)
        elif target.extent is TargetExtent.CHECKOUT:
            if not self._is_linked_root(path):
                self._add_path(path, whole=True)
        elif target.extent is TargetExtent.INTO:
            if path.endswith("/") or len(target.names) > 1 or Path(path).is_dir():
                for name in target.names:
                    self._add_path(f"{path}/{name}", whole=True)
            else:
                self._add_path(path, whole=True)
        else:
            self._add_path(path, whole=target.extent is TargetExtent.TREE)

    def request(self, reason: str) -> GuardEdit | None:
        """The request to the lock table; unresolved with `reason`, None without names."""
        if max(map(len, (self.files, self.folders, self.globs))) > EDITED_PATHS_MAX:
            reason = f"it names more than {EDITED_PATHS_MAX} paths"
        if reason:
            return GuardEdit(unresolved=reason)
        if not (self.files or self.folders or self.globs):
            return None
        return GuardEdit(files=tuple(self.files), folders=tuple(self.folders), globs=tuple(self.globs))

    def _add_path(self, path: str, *, whole: bool) -> None:
        """Add a file, or with `whole` also a folder with all below it: by its real path and its own name."""
        is_folder = whole and (Path(path).is_dir() or not os.path.lexists(path))
        for name_path in dict.fromkeys((_real_path(path), _link_path(path))):
            if is_folder and self._is_around(name_path):
                self.folders[file_names.ROOT] = None
            inside = self._relative_name(name_path)
            if inside is not None:
                self._record(inside, self.folders if is_folder else self.files, folder=is_folder)

    def _record(self, inside: str, names: dict[str, None], *, folder: bool) -> None:
        if not inside and not folder:
            return
        try:
            names[file_names.encode(inside)] = None
        except ValueError as error:
            self.unresolved = self.unresolved or str(error)

    def _relative_name(self, place: Path) -> str | None:
        """The name from the root of the repository; None outside of it, and in git's own folder."""
        root = self._root_of(place)
        if root is None or not self._is_ours(root):
            return None
        inside = place.relative_to(root)
        if inside.parts[:1] == (".git",):
            return None
        return "" if not inside.parts else inside.as_posix()

    def _is_around(self, place: Path) -> bool:
        """Whether the workspace's work tree, or that of `cwd`, lies below a folder."""
        return any(True for _ in self._roots_below(place))

    def _is_ours(self, root: Path) -> bool:
        if root not in self._own_roots:
            self._own_roots[root] = (
                self.workspace_git_folder is None
                or work_trees.common_folder(root) == self.workspace_git_folder
            )
        return self._own_roots[root]

    def _root_of(self, place: Path) -> Path | None:
        """The work tree around a path; None outside of any. Each folder is looked up once."""
        visited = list[Path]()
        root = None
        for folder in (place, *place.parents):
            if folder in self._roots:
                root = self._roots[folder]
                break
            visited.append(folder)
            if _holds_git(folder):
                root = folder
                break
        self._roots |= dict.fromkeys(visited, root)
        return root

    def _add_glob(self, path: str) -> None:
        """Add a shell's glob: the folder before the first wildcard is looked up, the rest stays a pattern."""
        parts = Path(path).parts
        first_wild = next((at for at, part in enumerate(parts) if not _WILD.isdisjoint(part)), len(parts))
        folder, pattern_parts = _real_path(Path(*parts[:first_wild])), parts[first_wild:]
        if any(
            _may_match(root.relative_to(folder).parts, pattern_parts) for root in self._roots_below(folder)
        ):
            self.folders[file_names.ROOT] = None
        inside = self._relative_name(folder)
        if inside is None:
            return
        if ".." in pattern_parts:
            self._record(inside, self.folders, folder=True)
            return
        pattern = "/".join((*((inside,) if inside else ()), *pattern_parts, "**"))
        if len(pattern) > FILE_PATH_CHARS_MAX:
            self._record(inside, self.folders, folder=True)
        else:
            self.globs[file_names.shown(pattern)] = None

    def _roots_below(self, place: Path) -> Iterator[Path]:
        for root in (self.workspace_root, self.cwd_root if self.concerns_cwd() else None):
            if root is not None and root != place and root.is_relative_to(place):
                yield root

    def _add_work_tree(self, path: str) -> None:
        """Add the whole work tree around a path, if it is the main one: nobody else uses a linked one."""
        root = self._root_of(_real_path(path))
        if root is not None and self._relative_name(root) == "" and (root / ".git").is_dir():
            self.folders[file_names.ROOT] = None

    def _add_from_top(self, path: str, names: tuple[str, ...]) -> None:
        """Add files named from the top of the work tree around a folder, where they lie below the folder."""
        folder = _real_path(path)
        root = self._root_of(folder)
        if root is not None:
            for name in names:
                place = os.path.normpath(root / name)
                if Path(place).is_relative_to(folder):
                    self._add_path(place, whole=False)

    def _add_project(self, path: str, names: tuple[str, ...]) -> None:
        """Add a project's files: the closest manifest, and the lock files in each folder around it."""
        place = _real_path(path)
        folder = place if place.is_dir() else place.parent
        root = self._root_of(folder)
        if root is None:
            return
        around = [one for one in (folder, *folder.parents) if one.is_relative_to(root)]
        for number, name in enumerate(names):
            holding = [one for one in around if os.path.lexists(one / name)] or [folder]
            for one in holding[:1] if number == 0 else holding:
                self._add_path(str(one / name), whole=False)

    def _is_linked_root(self, path: str) -> bool:
        """Whether a path is the root of a linked work tree of this repository."""
        place = _real_path(path)
        return self._relative_name(place) == "" and not (place / ".git").is_dir()

    def _add_submodules(self, path: str) -> None:
        """Add the folders of the submodules that `.gitmodules` names; the whole tree if it can't be read."""
        root = self._root_of(_real_path(path))
        if root is None or self._relative_name(root) is None:
            return
        folders = _submodule_folders(root / ".gitmodules")
        for folder in [file_names.ROOT] if folders is None else folders:
            self._record(folder, self.folders, folder=True)


def _submodule_folders(path: Path) -> list[str] | None:
    """The folders that a `.gitmodules` names; None if it is no regular file, or too long."""
    if not os.path.lexists(path):
        return []
    if not path.is_file() or path.stat().st_size > GIT_MODULES_BYTES_MAX:
        return None
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    return [os.path.normpath(folder.strip('"')) for folder in _SUBMODULE_PATH.findall(text)]


def _may_match(parts: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    """Whether a glob may match one of the leading folders of `parts`."""
    return "**" in globs or all(fnmatchcase(part, glob) for part, glob in zip(parts, globs, strict=False))


def _is_absolute(path: str) -> bool:
    return path.startswith("/") and "\0" not in path


def _real_path(path: str | Path) -> Path:
    """The path without symbolic links, as far as it exists."""
    return Path(os.path.realpath(path))


def _link_path(path: str) -> Path:
    """The path itself, which may be a link, in the real path of its folder."""
    path = os.path.normpath(path)
    folder, name = os.path.split(path)
    return _real_path(folder) / name if name else _real_path(path)


def _holds_git(folder: Path) -> bool:
    """Whether `.git` is there, and is a folder or a regular file."""
    try:
        mode = (folder / ".git").stat().st_mode
    except (OSError, ValueError):  # the folder may not be readable
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
