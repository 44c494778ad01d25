"""Python, read with `ast`: functions, classes and their members, variables, imports, items of collections."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_lines, body_of_list
from repomesh.domains.changes.building.structured.entities import (
    NAME,
    Body,
    Bounds,
    Entity,
    grouped,
    number_of,
)
from repomesh.domains.changes.building.structured.ordinary_lists import is_ordered
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.text_form import split_lines

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith)
_ENUMS = ("Enum", "Flag")


def read_python(text: str) -> Body:
    """The entities of a module. Raises NotMergeable where it is no Python, or two statements share a line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError) as error:
        raise NotMergeable(f"it is no Python: {error}") from None
    if "\f" in text:
        raise NotMergeable("the source has form feeds")
    if any(_is_future(one) and not _may_precede_future(other) for other, one in pairwise(tree.body)):
        raise NotMergeable("an import from __future__ does not stand at the top")
    source = _Source(text, split_lines(text))
    body = source.block(tree.body, 0, len(source.lines), 0, preamble=True)
    if body is None:
        raise NotMergeable("two statements stand on one line")
    return body


class _Source:
    """The text of a module, by lines and by the positions that `ast` gives."""

    def __init__(self, text: str, lines: Sequence[str]) -> None:
        self.text, self.lines = text, lines
        self._bounds = Bounds()
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """The index in the text of a line (from 1) and a column in bytes of UTF-8."""
        text = self.lines[line - 1]
        return self._starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))

    def start(self, node: ast.expr | ast.alias) -> int:
        """Where a node begins in the text."""
        return self.offset(node.lineno, node.col_offset)

    def end(self, node: ast.expr | ast.alias) -> int:
        """Where a node ends in the text."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.end_lineno, node.end_col_offset)

    def block(
        self,
        statements: Sequence[ast.stmt],
        start: int,
        end: int,
        depth: int,
        *,
        preamble: bool = False,
        enum: bool = False,
    ) -> Body | None:
        """The body of a block of statements on the lines from `start` to `end`."""
        parts = [
            EntitySpan(
                _first_line(statement), statement.end_lineno or 0, self.entity(statement, depth, enum=enum)
            )
            for statement in statements
        ]
        body = body_of_lines(self.lines, parts, start, end, preamble=preamble)
        return None if body is None else replace(body, items=tuple(grouped(body.items)))

    def entity(self, statement: ast.stmt, depth: int, *, enum: bool) -> Entity:
        """The entity of one statement; its text is set by whoever cuts the lines."""
        self._bounds.take(depth)
        shape = partial(_shape, statement, self.lines[_first_line(statement) : statement.end_lineno])
        if isinstance(statement, _DEFINITIONS):
            body = self._class_body(statement, depth) if isinstance(statement, ast.ClassDef) else None
            binds = ((statement.name, NAME),)
            return Entity((NAME, statement.name), "", "", body=body, binds=binds, shape=shape)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return self._import(statement, shape)
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            return self._assignment(statement, shape, depth, enum=enum)
        if isinstance(statement, _BLOCKS):
            head, body = self._block(statement, depth)
            key = (type(statement).__name__, " ".join(head.split()))
            return Entity(key, "", "", body=body, ordered=True, shape=shape)
        text = " ".join("".join(self.lines[_first_line(statement) : statement.end_lineno]).split())
        return Entity(("statement", text), "", "", ordered=True, shape=shape)

    def _class_body(self, statement: ast.ClassDef, depth: int) -> Body | None:
        """The members of a class; None for a class on one line."""
        members = list(statement.body)
        first, end = _first_line(statement), statement.end_lineno or 0
        if isinstance(members[0], ast.Expr) and isinstance(members[0].value, ast.Constant):
            head_end = members.pop(0).end_lineno or 0
        else:
            head_end = self._behind_head(members[0])
        if head_end < statement.lineno:
            return None
        is_enum = any(self.segment(base).endswith(_ENUMS) for base in statement.bases)
        body = self.block(members, head_end, end, depth + 1, enum=is_enum)
        return body and replace(body, head="".join(self.lines[first:head_end]))

    def _block(
        self, statement: ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith, depth: int
    ) -> tuple[str, Body | None]:
        """The head of an `if` and the like, and its statements; without them where it has an `else`."""
        first, end = statement.lineno - 1, statement.end_lineno or 0
        head_end = self._behind_head(statement.body[0])
        if head_end < statement.lineno:
            return self.lines[first], None
        head = "".join(self.lines[first:head_end])
        if getattr(statement, "orelse", None):
            return head, None
        body = self.block(statement.body, head_end, end, depth + 1)
        return head, body and replace(body, head=head)

    def _behind_head(self, statement: ast.stmt) -> int:
        """The line behind the head of a block whose first statement this is: without comments above that."""
        line = _first_line(statement)
        while line and (not self.lines[line - 1].strip() or self.lines[line - 1].lstrip().startswith("#")):
            line -= 1
        return line

    def segment(self, node: ast.expr) -> str:
        """The text of an expression on one line; of a constant, what it means."""
        if isinstance(node, ast.Constant):
            return repr(node.value)
        return " ".join(self.text[self.start(node) : self.end(node)].split())

    def _import(self, statement: ast.Import | ast.ImportFrom, shape: partial[str]) -> Entity:
        if isinstance(statement, ast.Import):
            names = tuple((alias.asname or alias.name, alias.name) for alias in statement.names)
            key = ("import", ", ".join(sorted(f"{name} as {known}" for known, name in names)))
            return Entity(key, "", "", binds=names, shape=shape)
        module = "." * statement.level + (statement.module or "")
        binds = tuple((alias.asname or alias.name, f"{module}:{alias.name}") for alias in statement.names)
        parts = [
            EntitySpan(self.start(alias), self.end(alias), Entity(("imported name", bound), "", ""))
            for alias, (bound, _meaning) in zip(statement.names, binds, strict=True)
        ]
        first, end = self._lines(statement)
        opened = self.text.rfind("(", first, parts[0].start)
        closed = self.text.find(")", parts[-1].end, end) if opened >= 0 else parts[-1].end
        begin = (
            opened + 1 if opened >= 0 else self.text.rindex("import", first, parts[0].start) + len("import")
        )
        body = body_of_list(self.text, parts, (first, end), (begin, closed))
        return Entity(("import from", module), "", "", body=body, joined=True, binds=binds, shape=shape)

    def _assignment(
        self, statement: ast.Assign | ast.AnnAssign, shape: partial[str], depth: int, *, enum: bool
    ) -> Entity:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [self.segment(target) for target in targets]
        is_plain = all(isinstance(target, ast.Name) for target in targets)
        display = _display(statement.value)
        body = None if display is None else self._collection(display, names[0], self._lines(statement), depth)
        given = "" if statement.value is None else self.segment(statement.value)
        value = given if enum else number_of(names[0], given)
        return Entity(
            (NAME, " = ".join(names)),
            "",
            "",
            body=body,
            ordered=not is_plain,
            value=value,
            binds=tuple((name, NAME) for name in names) if is_plain else (),
            shape=shape,
        )

    def _collection(self, value: ast.expr, name: str, span: tuple[int, int], depth: int) -> Body | None:
        """The entries of a dictionary, set, list or tuple that is written out."""
        inner = self.start(value) + 1, self.end(value) - 1
        if self.text[inner[0] - 1] not in "{[(":
            return None
        if isinstance(value, ast.Dict):
            parts = [
                self._entry(key, item, depth) for key, item in zip(value.keys, value.values, strict=True)
            ]
            body = body_of_list(self.text, parts, span, inner)
            return body and replace(body, strict=True)
        assert isinstance(value, ast.List | ast.Set | ast.Tuple)
        path = None if isinstance(value, ast.Set) else (name,)
        parts = [self._item(item, path, depth) for item in value.elts]
        body = body_of_list(self.text, parts, span, inner)
        return body and replace(body, strict=True)

    def _item(self, item: ast.expr, path: tuple[str, ...] | None, depth: int) -> EntitySpan:
        """An item of the list at a path of names, or of a set where that is None."""
        self._bounds.take(depth)
        text = self.segment(item)
        entity = Entity(("item", text), "", "", ordered=path is not None and is_ordered(path, text))
        return EntitySpan(self.start(item), self.end(item), entity)

    def _entry(self, key: ast.expr | None, value: ast.expr, depth: int) -> EntitySpan:
        self._bounds.take(depth)
        if key is None:  # **others
            start = self.text.rindex("**", 0, self.start(value))
            return EntitySpan(
                start, self.end(value), Entity(("item", self.segment(value)), "", "", ordered=True)
            )
        span = self.start(key), self.end(value)
        body = self._collection(value, "", span, depth + 1) if isinstance(value, ast.Dict) else None
        return EntitySpan(*span, Entity(("key", self.segment(key)), "", "", body=body))

    def _lines(self, statement: ast.stmt) -> tuple[int, int]:
        """Where the lines of a statement begin and end in the text."""
        return self._starts[_first_line(statement)], self._starts[statement.end_lineno or 0]


def _display(value: ast.expr | None) -> ast.expr | None:
    """A collection that is written out, perhaps as the only argument of a call such as `frozenset`."""
    if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    if isinstance(value, ast.Dict | ast.List | ast.Set | ast.Tuple):
        return value
    return None


def _first_line(statement: ast.stmt) -> int:
    """The index of the line where a statement begins, with its decorators."""
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _may_precede_future(statement: ast.stmt) -> bool:
    return _is_future(statement) or isinstance(statement, ast.Expr)


def _shape(statement: ast.stmt, lines: Sequence[str]) -> str:
    """What a statement means, and its comments: what a formatter leaves."""
    comments: list[str] = []
    if any("#" in line for line in lines):
        try:
            tokens = tokenize.generate_tokens(io.StringIO("".join(lines)).readline)
            comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
        except (tokenize.TokenError, SyntaxError):
            comments = list(lines)
    return "\n".join([ast.dump(statement), *comments])
