"""What a tool call is about to write, in the words of who asked: not yet looked up on any disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from posixpath import join, normpath

from repomesh.kernel.limits import EDITED_PATHS_MAX, FILE_PATH_CHARS_MAX


class TargetExtent(StrEnum):
    """How much a target stands for."""

    FILE = "file"
    TREE = "tree"
    """A file, or a folder with all that is below it."""
    GLOB = "glob"
    """All names that a shell's pattern fits, with all that is below them."""
    INTO = "into"
    """The files `names` if the path is a folder, else the path itself, as `cp` and `mv` see it."""
    WORK_TREE = "work_tree"
    """Every file of the work tree around the path, as git writes it."""


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """One thing that is written. `path` may be relative, and begin with `~` for the home folder."""

    path: str
    extent: TargetExtent = TargetExtent.FILE
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteSet:
    """All that is written. `unresolved` says why more may be written than `targets`: then it is anything."""

    targets: tuple[WriteTarget, ...] = ()
    unresolved: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the targets, each once."""
        return tuple(dict.fromkeys(target.path for target in self.targets))

    def __bool__(self) -> bool:
        return bool(self.targets or self.unresolved)


def bounded(writes: WriteSet) -> WriteSet:
    """The same, each target once and none that is a device; past a bound it is unresolved, never cut."""
    kept = tuple(dict.fromkeys(one for one in writes.targets if one.path and not _is_device(one.path)))
    reason = writes.unresolved
    if any(len(one.path) > FILE_PATH_CHARS_MAX or "\0" in one.path for one in kept):
        reason = reason or f"it names a path of more than {FILE_PATH_CHARS_MAX} characters"
        kept = tuple(one for one in kept if len(one.path) <= FILE_PATH_CHARS_MAX and "\0" not in one.path)
    if len(kept) > EDITED_PATHS_MAX:
        return WriteSet((), reason or f"it names more than {EDITED_PATHS_MAX} paths")
    return WriteSet(kept, reason)


def below(folder: str, target: WriteTarget) -> WriteTarget:
    """A target of a command that runs in `folder`, which may be relative, too."""
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
