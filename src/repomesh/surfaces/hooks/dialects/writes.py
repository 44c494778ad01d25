"""The files that a tool call is about to write, as its input names them: not yet looked up on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from posixpath import join, normpath

from repomesh.kernel.limits import EDITED_PATHS_MAX, FILE_PATH_CHARS_MAX


class TargetExtent(StrEnum):
    """Which files a target stands for."""

    FILE = "file"
    TREE = "tree"
    """A file, or a folder with all that is below it."""
    GLOB = "glob"
    """All names that match a shell's pattern, with all that is below them."""
    INTO = "into"
    """The files `names` if the path is a folder, else the path itself, as `cp` and `mv` see it."""
    FROM_TOP = "from_top"
    """The files `names`, from the top of the work tree around the path, that lie below the path."""
    PROJECT = "project"
    """The files `names` in the path or the folders around it: the first in the closest that has it."""
    WORK_TREE = "work_tree"
    """Every file of the work tree around the path, as git writes it."""
    CHECKOUT = "checkout"
    """As TREE, but nothing where the path is the root of a linked work tree."""
    SUBMODULES = "submodules"
    """The folders of all submodules of the work tree around the path."""


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """A file or folder that is written. `path` may be relative, or begin with `~` for the home folder."""

    path: str
    extent: TargetExtent = TargetExtent.FILE
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteSet:
    """All files that are written. `unresolved` is the reason why any file may be written, if not empty."""

    targets: tuple[WriteTarget, ...] = ()
    unresolved: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the targets, each once."""
        return tuple(dict.fromkeys(target.path for target in self.targets))

    def __bool__(self) -> bool:
        return bool(self.targets or self.unresolved)


def limit_targets(writes: WriteSet) -> WriteSet:
    """The set without devices and duplicates; one beyond a bound becomes unresolved instead of shorter."""
    targets = tuple(
        dict.fromkeys(target for target in writes.targets if target.path and not _is_device(target.path))
    )
    reason = writes.unresolved
    if any(len(target.path) > FILE_PATH_CHARS_MAX or "\0" in target.path for target in targets):
        reason = reason or f"it names a path of more than {FILE_PATH_CHARS_MAX} characters"
        targets = tuple(
            target
            for target in targets
            if len(target.path) <= FILE_PATH_CHARS_MAX and "\0" not in target.path
        )
    if len(targets) > EDITED_PATHS_MAX:
        return WriteSet((), reason or f"it names more than {EDITED_PATHS_MAX} paths")
    return WriteSet(targets, reason)


def resolve_below(folder: str, target: WriteTarget) -> WriteTarget:
    """The target of a command that runs in `folder`, which may be relative, too."""
    path = target.path
    if not folder or path.startswith(("/", "~")):
        return target
    return replace(target, path=join(folder, path))


def _is_device(path: str) -> bool:
    """Whether a path names a device, or standard output; files lie below `/dev/shm`, as on any disk."""
    if path == "-":
        return True
    folders = normpath(path).split("/")
    return folders[:2] == ["", "dev"] and len(folders) > 2 and not fnmatchcase("shm", folders[2])
