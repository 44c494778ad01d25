"""JSON, read with all of its text, so that what nobody changed stays as it was written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, NoReturn

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_list
from repomesh.domains.changes.building.structured.entities import Body, Bounds, Entity
from repomesh.domains.changes.building.structured.ordinary_lists import is_ordered
from repomesh.domains.changes.building.structured.outcome import NotMergeable

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+)')

_NAMES = (("key", "id"), ("key", "name"))  # by which an object in a list is known


def json_value(text: str) -> Any:
    """The value of a document, with numbers as they are written. Raises NotMergeable."""
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_float=_number, parse_int=_number, parse_constant=_refuse
        )
    except ValueError as error:
        raise NotMergeable(f"it is no JSON: {error}") from None


def read_json(text: str) -> Body:
    """The keys and items of a document at every level. Raises NotMergeable."""
    json_value(text)
    return _Reader(text).document()


class _Reader:
    """Walks through the tokens of a document that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._spans = [match.span(1) for match in _TOKEN.finditer(text)]
        self._tokens = [text[start:end] for start, end in self._spans]
        self._next = 0
        self._bounds = Bounds()

    def document(self) -> Body:
        """The body of the object or list that the document is."""
        body = self._value((), 0, 0)
        if body is None:
            raise NotMergeable("the document is a single value")
        return replace(body, tail=body.tail + self._text[self._spans[-1][1] :])

    def _value(self, path: tuple[str, ...], depth: int, start: int) -> Body | None:
        """The parts of the next value, if it has any; the text of their body begins at `start`."""
        self._bounds.take(depth)
        opening, begin = self._tokens[self._next], self._spans[self._next][1]
        self._next += 1
        if opening not in ("{", "["):
            return None
        parts: list[EntitySpan] = []
        while self._tokens[self._next] not in ("}", "]"):
            parts.append(self._member(path, depth) if opening == "{" else self._item(path, depth))
            if self._tokens[self._next] == ",":
                self._next += 1
        closed, finish = self._spans[self._next]
        self._next += 1
        body = body_of_list(self._text, parts, (start, finish), (begin, closed))
        return body and replace(body, strict=opening == "[")

    def _member(self, path: tuple[str, ...], depth: int) -> EntitySpan:
        start = self._spans[self._next][0]
        token = self._tokens[self._next]
        name: str = json.loads(token) if "\\" in token else token[1:-1]
        self._next += 2  # the name and the colon
        body = self._value((*path, name), depth + 1, start)
        entity = Entity(("key", name), "", "", body=body, joined=body is not None)
        return EntitySpan(start, self._spans[self._next - 1][1], entity)

    def _item(self, path: tuple[str, ...], depth: int) -> EntitySpan:
        first = self._next
        start = self._spans[first][0]
        body = self._value(path, depth + 1, start)
        named = body and next((item.text for item in body.items if item.key in _NAMES), None)
        text = "".join(self._tokens[first : self._next])
        key = ("named", named) if named else ("item", text)
        entity = Entity(key, "", "", body=body, ordered=is_ordered(path, text))
        return EntitySpan(start, self._spans[self._next - 1][1], entity)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise NotMergeable("an object has a key twice")
    return result


def _number(text: str) -> tuple[str, str]:
    return "number", text


def _refuse(text: str) -> NoReturn:
    raise NotMergeable(f"{text} is no JSON")
