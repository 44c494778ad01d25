"""TOML, read with all of its text: tables, keys, and the items of lists."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_lines, body_of_list
from repomesh.domains.changes.building.structured.entities import Body, Bounds, Entity
from repomesh.domains.changes.building.structured.ordinary_lists import is_ordered
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.text_form import split_lines
from repomesh.kernel import limits

_STRINGS = (
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")',
    r"'''.*?'{3,5}(?!')",
    r'"(?:[^"\\\n]|\\.)*+"',
    r"'[^'\n]*+'",
)
_TOKEN = re.compile(rf"{'|'.join(_STRINGS)}|#[^\n]*|[\[\]{{}},=\n]|[^\s\[\]{{}},=#\"']+", re.DOTALL)
_KEY_PART = re.compile(r'"(?:[^"\\]|\\.)*+"|\'[^\']*+\'|[\w-]+')
_NAMES = (("key", "id"), ("key", "name"))  # by which a table of a list is known

_MARKS = frozenset("[]{},=\n")

Tokens = list[re.Match[str]]


def toml_value(text: str) -> Any:
    """The value of a document, with floats as they are written. Raises NotMergeable."""
    _check_keys(text)
    try:
        return tomllib.loads(text, parse_float=lambda number: ("float", number))
    except ValueError as error:
        raise NotMergeable(f"it is no TOML: {error}") from None


def read_toml(text: str) -> Body:
    """The tables and keys of a document. Raises NotMergeable."""
    toml_value(text)
    return _Reader(text).document()


class _Reader:
    """Cuts a document that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = split_lines(text)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._bounds = Bounds()

    def document(self) -> Body:
        """The keys before the first table, and the tables with their keys."""
        statements = list(_statements(self._text))
        headers = [index for index, tokens in enumerate(statements) if tokens[0].group() == "["]
        parts = [self._key(tokens, ()) for tokens in statements[: headers[0] if headers else None]]
        for index, following in pairwise([*headers, len(statements)]):
            parts.append(self._table(statements[index], statements[index + 1 : following]))
        return self._body(_with_parts_of_items(parts), 0, len(self._lines), preamble=True)

    def _body(self, parts: Sequence[EntitySpan], start: int, end: int, *, preamble: bool = False) -> Body:
        body = body_of_lines(self._lines, parts, start, end, preamble=preamble)
        if body is None:
            raise NotMergeable("two keys stand on one line")
        return body

    def _table(self, header: Tokens, keys: Sequence[Tokens]) -> EntitySpan:
        self._bounds.take()
        start, head_end = self._span(header)
        path = _names(self._text[header[0].start() : header[-1].end()])
        parts = [self._key(tokens, path) for tokens in keys]
        end = parts[-1].end if parts else head_end
        body = self._body(parts, head_end, end)
        body = replace(body, head="".join(self._lines[start:head_end]))
        name = ".".join(path)
        if header[1].group() != "[":
            return EntitySpan(start, end, Entity(("table", name), "", "", body=body, joined=True))
        known = next((item.text for item in body.items if item.key in _NAMES), None)
        item_name = f"{name} {known.rpartition('=')[2].strip()}" if known else name
        return EntitySpan(start, end, Entity(("item", item_name), "", "", body=body, ordered=known is None))

    def _key(self, tokens: Tokens, path: tuple[str, ...]) -> EntitySpan:
        self._bounds.take()
        start, end = self._span(tokens)
        names, value = _divided(self._text, tokens)
        body = self._value(value, (*path, *names), (self._starts[start], self._starts[end]))
        return EntitySpan(
            start, end, Entity(("key", ".".join(names)), "", "", body=body, joined=body is not None)
        )

    def _value(self, tokens: Tokens, path: tuple[str, ...], span: tuple[int, int]) -> Body | None:
        """The items of a list, or the keys of a table in braces."""
        opening = tokens[0].group()
        if opening not in ("[", "{"):
            return None
        parts: list[EntitySpan] = []
        for item in _between_commas(tokens[1:-1]):
            self._bounds.take()
            text = "".join(token.group() for token in item)
            if opening == "{":
                key, ordered = ("key", ".".join(_divided(self._text, item)[0])), False
            else:
                key, ordered = ("item", text), is_ordered(path, text)
            parts.append(EntitySpan(item[0].start(), item[-1].end(), Entity(key, "", "", ordered=ordered)))
        body = body_of_list(self._text, parts, span, (tokens[0].end(), tokens[-1].start()))
        return body and replace(body, strict=opening == "[")

    def _span(self, tokens: Tokens) -> tuple[int, int]:
        """The lines that a statement takes, from and to (not included)."""
        first, last = tokens[0].start(), tokens[-1].end() - 1
        return bisect_right(self._starts, first) - 1, bisect_right(self._starts, last)


def _check_keys(text: str) -> None:
    """Refuse dotted keys of very many parts, for which tomllib takes quadratic time. Raises NotMergeable."""
    dots = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        dots = 0 if mark in _MARKS else dots + (mark.count(".") if mark[0] not in "\"'#" else 0)
        if dots > limits.STRUCTURED_DEPTH_MAX:
            raise NotMergeable("a key has too many parts")


def _statements(text: str) -> Iterator[Tokens]:
    """The tokens of each key with its value and of each header, without comments and line ends."""
    tokens: Tokens = []
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        if mark == "\n" and depth == 0 and tokens:
            yield tokens
            tokens = []
        elif mark != "\n" and not mark.startswith("#"):
            tokens.append(token)
    if tokens:
        yield tokens


def _between_commas(tokens: Tokens) -> Iterator[Tokens]:
    item: Tokens = []
    depth = 0
    for token in tokens:
        mark = token.group()
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        if mark == "," and depth == 0:
            yield item
            item = []
        else:
            item.append(token)
    if item:
        yield item


def _divided(text: str, tokens: Tokens) -> tuple[tuple[str, ...], Tokens]:
    """The names of a key, and the tokens of its value."""
    equals = next(index for index, token in enumerate(tokens) if token.group() == "=")
    return _names(text[tokens[0].start() : tokens[equals].start()]), tokens[equals + 1 :]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(text))


def _with_parts_of_items(parts: Sequence[EntitySpan]) -> list[EntitySpan]:
    """The parts, where tables below an item of a list of tables belong to that item."""
    result: list[EntitySpan] = []
    for part in parts:
        last = result[-1] if result else None
        name = part.entity.key[1]
        if last and last.entity.key[0] == "item" and name.startswith(last.entity.key[1].split(" ")[0] + "."):
            result[-1] = EntitySpan(last.start, part.end, replace(last.entity, body=None))
        else:
            result.append(part)
    return result
