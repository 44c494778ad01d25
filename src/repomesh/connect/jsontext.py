"""Edits JSON as text, comments and trailing commas allowed: everything else stays byte for byte.

A document is parsed into nodes with positions; an edit returns the new text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from repomesh.connect.errors import BrokenSettings, UnsuitableSettings

Path = tuple[str | int, ...]

_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_GAP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_DEPTH_MAX = 200  # real settings have five; the parser recurses


@dataclass(slots=True)
class Node:
    """A value from `start` to `end`. `parts` are the members of an object or the items of a list."""

    start: int
    end: int = 0
    value: Any = None
    parts: list[Part] | None = None

    @property
    def is_object(self) -> bool:
        """Whether it is an object, not a list or a plain value."""
        return isinstance(self.value, dict)


@dataclass(slots=True)
class Part:
    """A member of an object or an item of a list: its start, its value, and the position of its comma."""

    key: str | int
    start: int
    node: Node
    comma: int | None = None


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    depth: int = field(default=0)

    def read_document(self) -> Node:
        self._skip_gap()
        node = self._read_value()
        self._skip_gap()
        if self.at != len(self.text):
            raise self._syntax_error("there is more behind the end")
        return node

    def _read_value(self) -> Node:
        char = self.text[self.at : self.at + 1]
        if char == "{":
            return self._read_container("}", {})
        if char == "[":
            return self._read_container("]", [])
        node = Node(self.at)
        node.value = self._read_string() if char == '"' else self._read_scalar()
        node.end = self.at
        return node

    def _read_container(self, closing: str, value: Any) -> Node:
        node = Node(self.at, value=value, parts=[])
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise self._syntax_error("it is nested too deeply")
        self.at += 1
        self._skip_gap()
        while self.text[self.at : self.at + 1] != closing:
            part = self._read_part(node)
            if part.comma is None and self.text[self.at : self.at + 1] != closing:
                raise self._syntax_error(f"a comma or '{closing}' is missing")
        self.at += 1
        self.depth -= 1
        node.end = self.at
        return node

    def _read_part(self, node: Node) -> Part:
        assert node.parts is not None
        start, key = self.at, len(node.parts)
        part = Part(self._read_key() if node.is_object else key, start, Node(start))
        part.node = self._read_value()
        if node.is_object:
            node.value[part.key] = part.node.value
        else:
            node.value.append(part.node.value)
        self._skip_gap()
        if self.text[self.at : self.at + 1] == ",":
            part.comma = self.at
            self.at += 1
            self._skip_gap()
        node.parts.append(part)
        return part

    def _read_key(self) -> str:
        if self.text[self.at : self.at + 1] != '"':
            raise self._syntax_error("a name in double quotes is missing")
        key = self._read_string()
        self._skip_gap()
        if self.text[self.at : self.at + 1] != ":":
            raise self._syntax_error("a colon is missing")
        self.at += 1
        self._skip_gap()
        return key

    def _read_string(self) -> str:
        try:
            value, self.at = json.decoder.scanstring(self.text, self.at + 1, True)  # type: ignore[attr-defined]
        except ValueError as error:
            raise self._syntax_error(str(error).partition(":")[0].lower()) from None
        return str(value)

    def _read_scalar(self) -> Any:
        match = _SCALAR.match(self.text, self.at)
        if match is None:
            raise self._syntax_error("a value is missing")
        self.at = match.end()
        return json.loads(match[0])

    def _skip_gap(self) -> None:
        match = _GAP.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _syntax_error(self, reason: str) -> BrokenSettings:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        return BrokenSettings(f"line {line}, column {column}: {reason}", line=line, column=column)


def read(text: str) -> Node:
    """Parse a document; raises BrokenSettings with the place of the first error."""
    return _Reader(text, at=1 if text.startswith("\ufeff") else 0).read_document()


def find(node: Node, path: Path) -> Node | None:
    """The node at `path`, None without one; of repeated names the last counts, as for every JSON parser."""
    for key in path:
        part = _find_part(node, key)
        if part is None:
            return None
        node = part.node
    return node


def _find_part(node: Node, key: str | int) -> Part | None:
    return next((part for part in reversed(node.parts or ()) if part.key == key), None)


# -- writing ---------------------------------------------------------------------------------------


def put(text: str, path: Sequence[str], value: Any) -> str:
    """Set `value` at `path`, replacing any other; missing objects on the way are created.

    Raises UnsuitableSettings when something on the way is no object.
    """
    node = _require_object(read(text), ())
    for at, key in enumerate(path):
        part = _find_part(node, key)
        if part is None:
            for name in reversed(path[at + 1 :]):
                value = {name: value}
            return _add(text, node, key, value)
        if at == len(path) - 1:
            return _replace(text, part.node, value)
        node = _require_object(part.node, path[: at + 1])
    raise ValueError("a path has at least one name")


def append(text: str, path: Sequence[str], value: Any) -> str:
    """Append `value` to the list at `path`, which is created if missing.

    Raises UnsuitableSettings when the value there is no list, or something on the way is no object.
    """
    node = read(text)
    for at, key in enumerate(path):
        _require_object(node, path[:at])
        part = _find_part(node, key)
        if part is None:
            return put(text, path, [value])
        node = part.node
    if not isinstance(node.value, list):
        raise UnsuitableSettings(f"'{'.'.join(path)}' is no list")
    return _add(text, node, None, value)


def remove(text: str, path: Path) -> str:
    """Remove the value at `path`; comments beside it stay."""
    parent = find(read(text), path[:-1])
    assert parent is not None
    part = _find_part(parent, path[-1])
    assert part is not None
    assert parent.parts is not None
    index = parent.parts.index(part)
    start = len(text[: part.start].rstrip(" \t\r\n"))
    end = part.node.end if part.comma is None else part.comma + 1
    previous = parent.parts[index - 1] if index else None
    edited = text[:start] + text[end:]
    if part.comma is None and previous is not None and previous.comma is not None:
        edited = edited[: previous.comma] + edited[previous.comma + 1 :]
    return edited


def _require_object(node: Node, path: Sequence[str | int]) -> Node:
    if not node.is_object:
        location = f"'{'.'.join(map(str, path))}'" if path else "the whole"
        raise UnsuitableSettings(f"{location} is no object")
    return node


def _replace(text: str, node: Node, value: Any) -> str:
    style = _Style.of(text)
    is_on_lines = _on_lines(text, node) or not isinstance(node.value, dict | list)
    replacement = style.shown(value, _indent(text, node.start)) if is_on_lines else style.compact(value)
    return text[: node.start] + replacement + text[node.end :]


def _add(text: str, node: Node, key: str | None, value: Any) -> str:
    """Add a part after the last one of a container."""
    assert node.parts is not None
    style, last = _Style.of(text), node.parts[-1] if node.parts else None
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    inside = text[: node.start].strip("\ufeff \t\r\n") != ""
    if last is None and inside and "\n" not in text.strip():  # a document on one line stays so
        return text[: node.start + 1] + name + style.compact(value) + text[node.end - 1 :]
    if last is not None and not _on_lines(text, node):
        comma = last.comma if last.comma is not None else last.node.end - 1
        separator = ", " if last.comma is None else " "
        return text[: comma + 1] + separator + name + style.compact(value) + text[comma + 1 :]
    outer = _indent(text, node.start)
    inner = outer + style.unit if last is None else _indent(text, last.start)
    # After the last content, comments included; the comma directly after the last value.
    end = len(text[: node.end - 1].rstrip(" \t\r\n"))
    addition = style.newline + inner + name + style.shown(value, inner)
    closing = text[end:] if "\n" in text[end : node.end] else style.newline + outer + text[end:].lstrip(" \t")
    if last is None or last.comma is not None:
        return text[:end] + addition + closing
    return text[: last.node.end] + "," + text[last.node.end : end] + addition + closing


def _on_lines(text: str, node: Node) -> bool:
    """Whether the parts of a container are on lines of their own; True for an empty one."""
    if not node.parts:
        return True
    return "\n" in text[node.start : node.parts[0].start]


def _indent(text: str, at: int) -> str:
    """The blanks that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


@dataclass(frozen=True, slots=True)
class _Style:
    """The layout of a document."""

    unit: str
    newline: str

    @classmethod
    def of(cls, text: str) -> _Style:
        newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
        match = re.search(r"[{\[][ \t]*\r?\n((?:[ \t]*\r?\n)*)([ \t]+)\S", text)
        outer = _indent(text, match.start()) if match else ""
        unit = match[2].removeprefix(outer) if match else ""
        return cls(unit or "  ", newline)

    def shown(self, value: Any, indent: str) -> str:
        """A value on several lines, the first of which is indented already."""
        lines = json.dumps(value, indent=self.unit, ensure_ascii=False).split("\n")
        return (self.newline + indent).join(lines)

    @staticmethod
    def compact(value: Any) -> str:
        """A value on one line."""
        return json.dumps(value, ensure_ascii=False)
