"""Sources of other languages, read with tree-sitter, which is an extra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_lines, body_of_list
from repomesh.domains.changes.building.structured.entities import Body, Bounds, Entity, grouped
from repomesh.domains.changes.building.structured.languages.css import CSS
from repomesh.domains.changes.building.structured.languages.go import GO
from repomesh.domains.changes.building.structured.languages.grammar import Grammar, text_of
from repomesh.domains.changes.building.structured.languages.java import JAVA
from repomesh.domains.changes.building.structured.languages.javascript import JAVASCRIPT, TSX, TYPESCRIPT
from repomesh.domains.changes.building.structured.languages.rust import RUST
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.parsing import load_language, parse
from repomesh.domains.changes.building.structured.text_form import split_lines
from repomesh.domains.changes.building.structured.tree_shape import shape_of
from repomesh.kernel import limits

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

GRAMMARS = {
    ".js": JAVASCRIPT,
    ".jsx": JAVASCRIPT,
    ".mjs": JAVASCRIPT,
    ".cjs": JAVASCRIPT,
    ".ts": TYPESCRIPT,
    ".mts": TYPESCRIPT,
    ".cts": TYPESCRIPT,
    ".tsx": TSX,
    ".go": GO,
    ".rs": RUST,
    ".java": JAVA,
    ".css": CSS,
}
_COMMENTS = frozenset({"comment", "line_comment", "block_comment"})
_UNREADABLE = "it has syntax errors, or is too much to read"


def read_source(text: str, grammar: Grammar) -> Body:
    """The entities of a source. Raises NotMergeable where it has errors, or the extra is not installed."""
    body = _Source(text, grammar).file(_parsed(text, grammar).root_node)
    if body is None:
        raise NotMergeable("two entities stand on one line")
    return body


def _parsed(text: str, grammar: Grammar) -> Tree:
    """The syntax tree of a text. Raises NotMergeable."""
    try:
        from tree_sitter import Parser

        language = load_language(grammar.package, grammar.function)
    except ImportError:
        raise NotMergeable("merging it by its structure needs the extra repomesh[merge]") from None
    content = text.encode()
    tree = parse(content, language, limits.PARSE_STEPS_MAX)
    if tree is None:
        raise NotMergeable(_UNREADABLE)
    return Parser(language).parse(content, tree)  # nodes of this one find their text ten times as fast


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines that an entity takes, from and to (not included)."""

    start: int
    end: int


class _Source:
    """Cuts a source by the nodes of its syntax tree."""

    def __init__(self, text: str, grammar: Grammar) -> None:
        self._text, self._grammar = text, grammar
        self._bounds = Bounds()
        self._lines = split_lines(text)
        self._starts = [0, *accumulate(len(line) for line in self._lines)]
        self._offsets = None if text.isascii() else _offsets(text)

    def file(self, root: Node) -> Body | None:
        """The body of the whole source."""
        return self._statements(root, _Lines(0, len(self._lines)), 0)

    def _offset(self, position: int) -> int:
        return position if self._offsets is None else self._offsets[position]

    def _statements(self, node: Node, span: _Lines, depth: int) -> Body | None:
        """The body of entities on lines of their own; None where some are not."""
        opening = next((child for child in node.children if child.type in ("{", "(")), None)
        start, end = span.start, span.end
        if depth:
            if opening is None:
                return None
            start, end = opening.start_point.row + 1, node.end_point.row
        parts: list[EntitySpan] = []
        for child in self._items(node, opening):
            rows = _rows(child)
            parts.append(EntitySpan(rows.start, rows.end, self._entity(child, rows, depth)))
        if start > end or (depth and parts and parts[-1].end > end):
            return None
        body = body_of_lines(self._lines, parts, start, span.end, preamble=depth == 0)
        if body is None:
            return None
        head = "".join(self._lines[span.start : start])
        return replace(body, head=head + body.head, items=tuple(grouped(body.items)))

    def _entity(self, node: Node, rows: _Lines, depth: int) -> Entity:
        """The entity of a node on lines of its own; its text is set by whoever cuts the lines."""
        self._bounds.take(depth)
        container = self._container(node)
        body = None
        if container is not None and container.type in self._grammar.lines:
            body = self._statements(container, rows, depth + 1)
        elif container is not None:
            body = self._list(container, (self._starts[rows.start], self._starts[rows.end]), depth + 1)
        rest = self._text[self._offset(node.end_byte) : self._starts[rows.end]].strip()
        return self._as_entity(node, body, rest)

    def _list(self, node: Node, span: tuple[int, int], depth: int) -> Body | None:
        """The body of entities between commas, or between the marks of a union."""
        if node.type in self._grammar.unions:
            return self._union(node, span)
        if node.child_count < 2:
            return None
        begin, end = self._offset(node.children[0].end_byte), self._offset(node.children[-1].start_byte)
        parts: list[EntitySpan] = []
        start: int | None = None
        for child in node.named_children:
            if child.type in _COMMENTS:
                continue
            self._bounds.take(depth)
            start = self._offset(child.start_byte) if start is None else start
            if child.type in self._grammar.above:
                continue
            finish = self._offset(child.end_byte)
            container = self._container(child)
            body = None
            if container is not None and container.type not in self._grammar.lines:
                body = self._list(container, (start, finish), depth + 1)
            parts.append(EntitySpan(start, finish, self._as_entity(child, body, "")))
            start = None
        if node.type in self._grammar.numbered and any(part.entity.value is not None for part in parts):
            parts = [
                replace(part, entity=replace(part.entity, value=part.entity.value or "")) for part in parts
            ]
        body = body_of_list(self._text, parts, span, (begin, end))
        return body and replace(body, strict=node.type in self._grammar.strict_lists)

    def _as_entity(self, node: Node, body: Body | None, rest: str) -> Entity:
        """The entity of a node, with what stands behind the node on its last line."""
        shape = None if self._grammar.is_spaced else partial(shape_of, node, rest)
        described = self._grammar.describe(node)
        if described is None:
            return Entity(("statement", text_of(node)), "", "", body=body, ordered=True, shape=shape)
        return Entity(
            described.key,
            "",
            "",
            body=body,
            ordered=described.ordered,
            joined=described.joined and body is not None,
            value=described.value,
            binds=described.binds,
            shape=shape,
        )

    def _union(self, node: Node, span: tuple[int, int]) -> Body | None:
        """The body of a union of types, each with the mark before it; None where comments are between."""
        operands: list[Node] = []
        current = node
        while current.type in self._grammar.unions:
            first, *others = [child for child in current.named_children if child.type not in _COMMENTS]
            operands += reversed(others)
            current = first
        operands.append(current)
        begin = position = max(span[0], len(self._text[: self._offset(node.start_byte)].rstrip()))
        items: list[Entity] = []
        for operand in reversed(operands):
            self._bounds.take()
            start, end = self._offset(operand.start_byte), self._offset(operand.end_byte)
            lead = self._text[position:start]
            if lead.strip(" \t\n|"):
                return None
            items.append(Entity(("item", text_of(operand)), lead, self._text[start:end]))
            position = end
        return Body(self._text[span[0] : begin], tuple(items), self._text[position : span[1]])

    def _items(self, node: Node, opening: Node | None) -> Iterator[Node]:
        """The nodes that are entities: without comments, and what belongs to the entity below."""
        for child in node.named_children:
            is_inside = opening is None or child.start_byte >= opening.end_byte
            if is_inside and child.type not in _COMMENTS and child.type not in self._grammar.above:
                yield child

    def _container(self, node: Node, level: int = 0) -> Node | None:
        """The node that holds the parts of an entity."""
        grammar = self._grammar
        if level == 0 and (found := grammar.container(node)) is not None:
            return found
        if node.type not in grammar.through or level > limits.STRUCTURED_DEPTH_MAX:
            return None
        for child in node.named_children:
            if child.type in grammar.lines | grammar.lists | grammar.unions:
                return child
            if (found := self._container(child, level + 1)) is not None:
                return found
        return None


def _rows(node: Node) -> _Lines:
    """The lines of a node; some nodes take the end of their last line as well."""
    end = node.end_point
    is_behind_line = end.column == 0 and end.row > node.start_point.row
    return _Lines(node.start_point.row, end.row if is_behind_line else end.row + 1)


def _offsets(text: str) -> Sequence[int]:
    """The index of the character at each byte of a text in UTF-8."""
    offsets: list[int] = []
    for index, character in enumerate(text):
        offsets += [index] * len(character.encode())
    return [*offsets, len(text)]
