"""Edits JSON as text, comments and trailing commas allowed: all that is not the edit stays byte for byte.

A document is read into nodes that know where they stand; an edit answers the new text.
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
_DEPTH_MAX = 200  # real settings have five; the reading recurses


@dataclass(slots=True)
class Node:
    """A value from `start` to `end`. Of an object or a list, `parts` are what it holds."""

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
    """A member of an object or an item of a list: where it begins, its value, and the comma behind it."""

    key: str | int
    start: int
    node: Node
    comma: int | None = None


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    depth: int = field(default=0)

    def document(self) -> Node:
        self._gap()
        node = self._value()
        self._gap()
        if self.at != len(self.text):
            raise self._broken("there is more behind the end")
        return node

    def _value(self) -> Node:
        char = self.text[self.at : self.at + 1]
        if char == "{":
            return self._container("}", {})
        if char == "[":
            return self._container("]", [])
        node = Node(self.at)
        node.value = self._string() if char == '"' else self._scalar()
        node.end = self.at
        return node

    def _container(self, closing: str, value: Any) -> Node:
        node = Node(self.at, value=value, parts=[])
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise self._broken("it is nested too deeply")
        self.at += 1
        self._gap()
        while self.text[self.at : self.at + 1] != closing:
            part = self._part(node)
            if part.comma is None and self.text[self.at : self.at + 1] != closing:
                raise self._broken(f"a comma or '{closing}' is missing")
        self.at += 1
        self.depth -= 1
        node.end = self.at
        return node

    def _part(self, node: Node) -> Part:
        assert node.parts is not None
        start, key = self.at, len(node.parts)
        part = Part(self._key() if node.is_object else key, start, Node(start))
        part.node = self._value()
        if node.is_object:
            node.value[part.key] = part.node.value
        else:
            node.value.append(part.node.value)
        self._gap()
        if self.text[self.at : self.at + 1] == ",":
            part.comma = self.at
            self.at += 1
            self._gap()
        node.parts.append(part)
        return part

    def _key(self) -> str:
        if self.text[self.at : self.at + 1] != '"':
            raise self._broken("a name in double quotes is missing")
        key = self._string()
        self._gap()
        if self.text[self.at : self.at + 1] != ":":
            raise self._broken("a colon is missing")
        self.at += 1
        self._gap()
        return key

    def _string(self) -> str:
        try:
            value, self.at = json.decoder.scanstring(self.text, self.at + 1, True)  # type: ignore[attr-defined]
        except ValueError as error:
            raise self._broken(str(error).partition(":")[0].lower()) from None
        return str(value)

    def _scalar(self) -> Any:
        found = _SCALAR.match(self.text, self.at)
        if found is None:
            raise self._broken("a value is missing")
        self.at = found.end()
        return json.loads(found[0])

    def _gap(self) -> None:
        found = _GAP.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def _broken(self, why: str) -> BrokenSettings:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        return BrokenSettings(f"line {line}, column {column}: {why}", line=line, column=column)


def read(text: str) -> Node:
    """The document; raises BrokenSettings with the place of the first fault."""
    return _Reader(text, at=1 if text.startswith("\ufeff") else 0).document()


def find(node: Node, path: Path) -> Node | None:
    """What stands at `path`; of names that are there twice the last counts, as for every reader of JSON."""
    for key in path:
        part = _part_of(node, key)
        if part is None:
            return None
        node = part.node
    return node


def _part_of(node: Node, key: str | int) -> Part | None:
    return next((part for part in reversed(node.parts or ()) if part.key == key), None)


# -- writing ---------------------------------------------------------------------------------------


def put(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with `value` at `path`, in place of what is there; objects on the way are made.

    Raises UnsuitableSettings when something on the way is no object.
    """
    node = _object(read(text), ())
    for at, key in enumerate(path):
        part = _part_of(node, key)
        if part is None:
            for further in reversed(path[at + 1 :]):
                value = {further: value}
            return _add(text, node, key, value)
        if at == len(path) - 1:
            return _replace(text, part.node, value)
        node = _object(part.node, path[: at + 1])
    raise ValueError("a path has at least one name")


def append(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with `value` as the last item of the list at `path`, which is made when it is not there.

    Raises UnsuitableSettings when something else than a list is there, or on the way no object.
    """
    node = read(text)
    for at, key in enumerate(path):
        _object(node, path[:at])
        part = _part_of(node, key)
        if part is None:
            return put(text, path, [value])
        node = part.node
    if not isinstance(node.value, list):
        raise UnsuitableSettings(f"'{'.'.join(path)}' is no list")
    return _add(text, node, None, value)


def remove(text: str, path: Path) -> str:
    """`text` without what is at `path`; comments beside it stay."""
    parent = find(read(text), path[:-1])
    assert parent is not None
    part = _part_of(parent, path[-1])
    assert part is not None
    assert parent.parts is not None
    index = parent.parts.index(part)
    start = len(text[: part.start].rstrip(" \t\r\n"))
    end = part.node.end if part.comma is None else part.comma + 1
    before = parent.parts[index - 1] if index else None
    cut = text[:start] + text[end:]
    if part.comma is None and before is not None and before.comma is not None:
        cut = cut[: before.comma] + cut[before.comma + 1 :]
    return cut


def _object(node: Node, path: Sequence[str | int]) -> Node:
    if not node.is_object:
        where = f"'{'.'.join(map(str, path))}'" if path else "the whole"
        raise UnsuitableSettings(f"{where} is no object")
    return node


def _replace(text: str, node: Node, value: Any) -> str:
    style = _Style.of(text)
    inside = _on_lines(text, node) or not isinstance(node.value, dict | list)
    shown = style.shown(value, _indent(text, node.start)) if inside else style.compact(value)
    return text[: node.start] + shown + text[node.end :]


def _add(text: str, node: Node, key: str | None, value: Any) -> str:
    """Put a part behind the last one of a container."""
    assert node.parts is not None
    style, last = _Style.of(text), node.parts[-1] if node.parts else None
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    inside = text[: node.start].strip("\ufeff \t\r\n") != ""
    if last is None and inside and "\n" not in text.strip():  # a document on one line stays so
        return text[: node.start + 1] + name + style.compact(value) + text[node.end - 1 :]
    if last is not None and not _on_lines(text, node):
        comma = last.comma if last.comma is not None else last.node.end - 1
        needed = ", " if last.comma is None else " "
        return text[: comma + 1] + needed + name + style.compact(value) + text[comma + 1 :]
    outer = _indent(text, node.start)
    inner = outer + style.unit if last is None else _indent(text, last.start)
    # Behind what stands last, a comment included; the comma right behind the last value.
    end = len(text[: node.end - 1].rstrip(" \t\r\n"))
    made = style.newline + inner + name + style.shown(value, inner)
    closing = text[end:] if "\n" in text[end : node.end] else style.newline + outer + text[end:].lstrip(" \t")
    if last is None or last.comma is not None:
        return text[:end] + made + closing
    return text[: last.node.end] + "," + text[last.node.end : end] + made + closing


def _on_lines(text: str, node: Node) -> bool:
    """Whether the parts of a container stand on lines of their own, which an empty one's will."""
    if not node.parts:
        return True
    return "\n" in text[node.start : node.parts[0].start]


def _indent(text: str, at: int) -> str:
    """The blanks that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


@dataclass(frozen=True, slots=True)
class _Style:
    """How a document is laid out."""

    unit: str
    newline: str

    @classmethod
    def of(cls, text: str) -> _Style:
        newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
        found = re.search(r"[{\[][ \t]*\r?\n((?:[ \t]*\r?\n)*)([ \t]+)\S", text)
        outer = _indent(text, found.start()) if found else ""
        unit = found[2].removeprefix(outer) if found else ""
        return cls(unit or "  ", newline)

    def shown(self, value: Any, indent: str) -> str:
        """A value on lines of their own, whose first one is indented already."""
        lines = json.dumps(value, indent=self.unit, ensure_ascii=False).split("\n")
        return (self.newline + indent).join(lines)

    @staticmethod
    def compact(value: Any) -> str:
        """A value on one line."""
        return json.dumps(value, ensure_ascii=False)
