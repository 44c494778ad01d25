"""YAML, read by its events with all of its text: keys of block mappings, and items of block sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_lines
from repomesh.domains.changes.building.structured.entities import Body, Bounds, Entity, Key
from repomesh.domains.changes.building.structured.ordinary_lists import is_ordered
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.text_form import split_lines

_NAMES = ("id", "name", "key")  # by which a mapping in a sequence is known
_OTHER_LINE_ENDS = "\x85\u2028\u2029"


@dataclass(slots=True)
class YamlNode:
    """A value and where it begins.

    A scalar has its tag and text, a mapping each key and value in turn as parts, a sequence its items, and an
    alias what it stands for.
    """

    line: int
    column: int
    scalar: tuple[str, str] | None = None
    parts: list[YamlNode] = field(default_factory=list)
    target: YamlNode | None = None
    is_mapping: bool = False
    is_block: bool = False
    is_complete: bool = True


@dataclass(slots=True)
class Document:
    """A document of a file: the line where it begins, and its value."""

    line: int
    roots: list[YamlNode] = field(default_factory=list)


def yaml_value(text: str) -> Any:
    """The documents of a file by their numbers: lists, dictionaries, and scalars as they are written.

    Raises NotMergeable where it is no YAML, a mapping has a key twice, or a key is no scalar.
    """
    shown: dict[int, Any] = {}
    return {
        number: _plain(document.roots[0], shown) if document.roots else None
        for number, document in enumerate(_documents(text))
    }


def read_yaml(text: str) -> Body:
    """The documents, keys and items of a file. Raises NotMergeable."""
    documents = _documents(text)
    if len(documents) == 1:
        return _Reader(text).document(documents[0])
    return _Reader(text).file(documents)


class _Reader:
    """Cuts a file whose nodes are known."""

    def __init__(self, text: str) -> None:
        self._lines = split_lines(text)

    def file(self, documents: Sequence[Document]) -> Body:
        """The body of a file of several documents, which are known by their numbers."""
        starts = [document.line for document in documents]
        parts: list[EntitySpan] = []
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(self._lines)], strict=True)):
            body = self._body(documents[number].roots, (), (start, end), 1)
            parts.append(
                EntitySpan(start, end, Entity(("document", str(number)), "", "", body=body, ordered=True))
            )
        body = body_of_lines(self._lines, parts, 0, len(self._lines))
        if body is None:
            raise NotMergeable("two documents stand on one line")
        return body

    def document(self, document: Document) -> Body:
        """The body of a file of one document."""
        body = self._body(document.roots, (), (0, len(self._lines)), 0)
        if body is None:
            raise NotMergeable("the document is no mapping or sequence on lines of its own")
        return body

    def _body(
        self, nodes: Sequence[YamlNode], path: tuple[str, ...], span: tuple[int, int], depth: int
    ) -> Body | None:
        """The parts of a block mapping or sequence on the lines of its entity; None for any other value."""
        if not nodes or not nodes[0].is_block:
            return None
        node = nodes[0]
        members = node.parts[::2] if node.is_mapping else node.parts
        if not members or not all(self._begins_line(member, node.is_mapping) for member in members):
            return None
        indent = self._indent(members[0].line)
        ends = [self._end(member.line, indent) for member in members[1:]]
        parts: list[EntitySpan] = []
        for number, end in enumerate([*ends, self._end(span[1], indent)]):
            start = members[number].line
            if node.is_mapping:
                value = node.parts[2 * number + 1]
                parts.append(
                    EntitySpan(start, end, self._entry(members[number], value, path, (start, end), depth))
                )
            else:
                parts.append(EntitySpan(start, end, _item(members[number], path)))
        head_end = members[0].line
        while head_end > span[0] and self._is_comment(head_end - 1, indent):
            head_end -= 1
        body = body_of_lines(self._lines, parts, head_end, span[1], preamble=depth == 0)
        head = "".join(self._lines[span[0] : head_end])
        return body and replace(body, head=head + body.head, strict=not node.is_mapping)

    def _entry(
        self, key: YamlNode, value: YamlNode, path: tuple[str, ...], span: tuple[int, int], depth: int
    ) -> Entity:
        name = key.scalar[1] if key.scalar else ""
        body = self._body([value], (*path, name), span, depth + 1) if value.line > key.line else None
        is_merge = name == "<<"
        return Entity(("key", name), "", "", body=body, joined=body is not None, ordered=is_merge)

    def _begins_line(self, member: YamlNode, is_key: bool) -> bool:
        """Whether a key, or the dash of an item, is the first on its line."""
        before = self._lines[member.line][: member.column] if member.line < len(self._lines) else "x"
        return before.strip(" ") == ("" if is_key else "-")

    def _indent(self, line: int) -> int:
        return len(self._lines[line]) - len(self._lines[line].lstrip(" "))

    def _end(self, line: int, indent: int) -> int:
        """The line behind an item that ends before another one: without the comments that belong to that."""
        while line and self._is_comment(line - 1, indent):
            line -= 1
        return line

    def _is_comment(self, line: int, indent: int) -> bool:
        """Whether a line is empty, or a comment that is indented no deeper."""
        text = self._lines[line].lstrip(" ")
        return not text.strip() or (text.startswith("#") and self._indent(line) <= indent)


def _item(node: YamlNode, path: tuple[str, ...]) -> Entity:
    key: Key = ("item", repr(_written(node)))
    if node.is_mapping:
        for name, value in zip(node.parts[::2], node.parts[1::2], strict=True):
            if name.scalar and name.scalar[1] in _NAMES:
                key = ("named", f"{name.scalar[1]}: {_written(value)}")
                break
    return Entity(key, "", "", ordered=is_ordered(path, node.scalar[1] if node.scalar else ""))


def _written(node: YamlNode) -> object:
    """What a node says, with aliases as such."""
    if node.target is not None:
        return "alias", node.target.line, node.target.column
    return node.scalar or [node.is_mapping, *(_written(part) for part in node.parts)]


def _plain(node: YamlNode, shown: dict[int, Any]) -> Any:
    """The value of a node; aliases share the value of what they stand for."""
    if node.target is not None:
        return _plain(node.target, shown)
    if id(node) in shown:
        return shown[id(node)]
    value: Any = node.scalar
    if node.is_mapping:
        value = {}
        for key, item in zip(node.parts[::2], node.parts[1::2], strict=True):
            if key.scalar is None:
                raise NotMergeable("a mapping has a key that is no scalar")
            if key.scalar[1] in value:
                raise NotMergeable(f"a mapping has the key {key.scalar[1]} twice")
            value[key.scalar[1]] = _plain(item, shown)
    elif node.scalar is None:
        value = [_plain(part, shown) for part in node.parts]
    shown[id(node)] = value
    return value


def _documents(text: str) -> list[Document]:
    """The documents of a file. Raises NotMergeable where it is no YAML, or nested too deep."""
    if (
        any(end in text for end in _OTHER_LINE_ENDS)
        or text.startswith("%")
        or "\n%" in text
        or "\n..." in text
    ):
        raise NotMergeable("the YAML has directives or line ends that are not understood")
    import yaml

    documents: list[Document] = []
    open_nodes: list[YamlNode] = []
    anchors: dict[str, YamlNode] = {}
    bounds = Bounds()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.DocumentStartEvent):
                documents.append(Document(event.start_mark.line))
                anchors.clear()
            elif isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop().is_complete = True
            elif isinstance(event, yaml.NodeEvent):
                node = _node(event, anchors)
                if open_nodes:
                    open_nodes[-1].parts.append(node)
                else:
                    documents[-1].roots.append(node)
                if not node.is_complete:
                    open_nodes.append(node)
                bounds.take(len(open_nodes))
    except yaml.YAMLError as error:
        raise NotMergeable(f"it is no YAML: {' '.join(str(error).split())[:200]}") from None
    return documents


def _node(event: Any, anchors: dict[str, YamlNode]) -> YamlNode:
    """The node that an event begins."""
    import yaml

    line, column = event.start_mark.line, event.start_mark.column
    if isinstance(event, yaml.AliasEvent):
        target = anchors.get(event.anchor)
        if target is None or not target.is_complete:
            raise NotMergeable(f"the alias {event.anchor} stands for nothing")
        return YamlNode(line, column, target=target)
    if isinstance(event, yaml.ScalarEvent):
        kind = event.tag or ("" if event.implicit[0] else "text")
        node = YamlNode(line, column, (kind, event.value))
    else:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        node = YamlNode(line, column, is_mapping=is_mapping, is_block=not event.flow_style, is_complete=False)
    if event.anchor:
        anchors[event.anchor] = node
    return node
