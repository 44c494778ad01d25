"""What authors mean to do to files, so that it can be done again on any later tree.

Each edit is applied to a `Draft`; it raises Impossible where what it is about is gone. A file is named by the
path that it had first: it may have been moved since.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fault.landings.trees import Draft, File

MOVED = "moved/"
"""Where renamed files go: each at most once, so that everybody finds it."""
BROKEN = "BROKEN"
"""A word that the check of the test's repository does not let pass."""


class Impossible(Exception):
    """What an edit is about is no longer there."""


class Edit(Protocol):
    """Something that an author means to do."""

    def apply(self, draft: Draft) -> None:
        """Do it. Raises Impossible."""


def apply_all(edits: Sequence[Edit], draft: Draft) -> None:
    """Do all of them, one after another. Raises Impossible."""
    for edit in edits:
        edit.apply(draft)


@dataclass(frozen=True)
class SetLine:
    """Put `line` in place of the line that begins with `key`, apart from white space before it."""

    path: str
    key: str
    line: str

    def apply(self, draft: Draft) -> None:
        at, file, lines, index = _find_line(draft, self.path, self.key)
        lines[index] = self.line
        _write_lines(draft, at, file, lines)


@dataclass(frozen=True)
class AddAfter:
    """Put a new line behind the line that begins with `key`."""

    path: str
    key: str
    line: str

    def apply(self, draft: Draft) -> None:
        at, file, lines, index = _find_line(draft, self.path, self.key)
        lines.insert(index + 1, self.line)
        _write_lines(draft, at, file, lines)


@dataclass(frozen=True)
class RemoveLine:
    """Remove the line that begins with `key`."""

    path: str
    key: str

    def apply(self, draft: Draft) -> None:
        at, file, lines, index = _find_line(draft, self.path, self.key)
        del lines[index]
        _write_lines(draft, at, file, lines)


@dataclass(frozen=True)
class Append:
    """Put text behind the last line."""

    path: str
    text: str

    def apply(self, draft: Draft) -> None:
        at, file = _locate(draft, self.path)
        draft.write(at, replace(file, content=file.content + self.text.encode()))


@dataclass(frozen=True)
class AddKey:
    """Put a new key behind the last one of a JSON object."""

    path: str
    key: str
    value: str

    def apply(self, draft: Draft) -> None:
        at, file = _locate(draft, self.path)
        content = as_json(json.loads(file.content) | {self.key: self.value})
        draft.write(at, replace(file, content=content))


@dataclass(frozen=True)
class Add:
    """Make a file that nobody else makes."""

    path: str
    content: str
    mode: str = "100644"

    def apply(self, draft: Draft) -> None:
        draft.write(self.path, File(self.content.encode(), self.mode))


@dataclass(frozen=True)
class Delete:
    """Delete a file."""

    path: str

    def apply(self, draft: Draft) -> None:
        at, _file = _locate(draft, self.path)
        draft.write(at, None)


@dataclass(frozen=True)
class Rename:
    """Move a file below `MOVED`."""

    path: str

    def apply(self, draft: Draft) -> None:
        at, file = _locate(draft, self.path)
        draft.write(at, None)
        draft.write(MOVED + self.path, file)


@dataclass(frozen=True)
class SetMode:
    """Make a file executable, or not."""

    path: str
    mode: str

    def apply(self, draft: Draft) -> None:
        at, file = _locate(draft, self.path)
        draft.write(at, replace(file, mode=self.mode))


def as_json(value: object) -> bytes:
    """A JSON document as the test's repository writes them."""
    return (json.dumps(value, indent=2) + "\n").encode()


def _locate(draft: Draft, path: str) -> tuple[str, File]:
    for at in (path, MOVED + path):
        file = draft.read(at)
        if file is not None:
            return at, file
    raise Impossible(f"{path} is gone")


def _find_line(draft: Draft, path: str, key: str) -> tuple[str, File, list[str], int]:
    at, file = _locate(draft, path)
    lines = file.content.decode().splitlines()
    for index, line in enumerate(lines):
        if line.strip().startswith(key):
            return at, file, lines, index
    raise Impossible(f"{path} has no line {key!r}")


def _write_lines(draft: Draft, path: str, file: File, lines: Sequence[str]) -> None:
    draft.write(path, replace(file, content="".join(f"{line}\n" for line in lines).encode()))
