"""Trees of files in plain Python, with the ids that git gives them: nothing of the product takes part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

_FOLDER = "40000"


@dataclass(frozen=True)
class File:
    """A file of a tree: its content, and its mode as git writes it."""

    content: bytes
    mode: str = "100644"

    @cached_property
    def id(self) -> str:
        """The id of its blob."""
        return _hash("blob", self.content)


class Folder:
    """A folder of a tree. Its id is computed anew only where something below it was written."""

    def __init__(self) -> None:
        self._entries: dict[str, File | Folder] = {}
        self._id: str | None = None

    @classmethod
    def of(cls, files: Mapping[str, File]) -> Folder:
        """The tree that holds these files, by path."""
        tree = cls()
        for path, file in files.items():
            tree.write(path, file)
        return tree

    def read(self, path: str) -> File | None:
        """The file at a path; None where there is none."""
        name, _, rest = path.partition("/")
        entry = self._entries.get(name)
        if isinstance(entry, Folder):
            return entry.read(rest) if rest else None
        return None if rest else entry

    def write(self, path: str, file: File | None) -> None:
        """Put a file at a path, or remove it; a folder that gets empty goes with it."""
        self._id = None
        name, _, rest = path.partition("/")
        if not rest:
            if file is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = file
            return
        below = self._entries.get(name)
        if not isinstance(below, Folder):
            below = self._entries[name] = Folder()
        below.write(rest, file)
        if not below._entries:
            del self._entries[name]

    @property
    def id(self) -> str:
        """The id of the tree, as git computes it."""
        if self._id is None:
            entries = sorted(self._entries.items(), key=_git_order)
            lines = [
                _mode(entry) + b" " + name.encode() + b"\0" + bytes.fromhex(entry.id)
                for name, entry in entries
            ]
            self._id = _hash("tree", b"".join(lines))
        return self._id


class Draft:
    """Files with changes on top that are not written yet."""

    def __init__(self, read: Callable[[str], File | None]) -> None:
        self._read = read
        self.changed: dict[str, File | None] = {}

    def read(self, path: str) -> File | None:
        """The file at a path as it is with the changes; None where there is none."""
        return self.changed[path] if path in self.changed else self._read(path)

    def write(self, path: str, file: File | None) -> None:
        """Put a file at a path, or remove it."""
        self.changed[path] = file


def _hash(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _git_order(item: tuple[str, File | Folder]) -> bytes:
    name, entry = item
    return f"{name}/".encode() if isinstance(entry, Folder) else name.encode()


def _mode(entry: File | Folder) -> bytes:
    return _FOLDER.encode() if isinstance(entry, Folder) else entry.mode.encode()
