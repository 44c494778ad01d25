"""Lists of lines: requirements of Python, and patterns of ignored paths."""

from __future__ import annotations

import re

from repomesh.domains.changes.building.structured.cutting import EntitySpan, body_of_lines
from repomesh.domains.changes.building.structured.entities import Body, Bounds, Entity
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.domains.changes.building.structured.text_form import split_lines

_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?=$|[\[<>=!~;@#\s\\(])")


def read_requirements(text: str) -> Body:
    """The requirements of a file by their packages; options keep their order. Raises NotMergeable."""
    lines = split_lines(text)
    parts: list[EntitySpan] = []
    bounds = Bounds()
    is_open = False
    for number, line in enumerate(lines):
        stripped = line.strip()
        is_part = is_open or (line[:1] in (" ", "\t") and parts)
        is_open = stripped.endswith("\\")
        if is_part and stripped and parts[-1].end == number:
            parts[-1] = EntitySpan(parts[-1].start, number + 1, parts[-1].entity)
        elif stripped and not stripped.startswith("#"):
            bounds.take()
            match = _REQUIREMENT.match(stripped)
            name = re.sub(r"[-_.]+", "-", match.group(1)).lower() if match else stripped
            key = ("requirement" if match else "option", name)
            parts.append(EntitySpan(number, number + 1, Entity(key, "", "", ordered=match is None)))
    return _body(lines, parts)


def read_patterns(text: str) -> Body:
    """The patterns of an ignore file, in order where one is an exception. Raises NotMergeable."""
    lines = split_lines(text)
    is_ordered = any(line.startswith("!") for line in lines)
    bounds = Bounds()
    parts: list[EntitySpan] = []
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("#"):
            bounds.take()
            entity = Entity(("pattern", line.rstrip()), "", "", ordered=is_ordered)
            parts.append(EntitySpan(number, number + 1, entity))
    return _body(lines, parts, strict=True)


def _body(lines: list[str], parts: list[EntitySpan], *, strict: bool = False) -> Body:
    body = body_of_lines(lines, parts, 0, len(lines), preamble=True)
    if body is None:
        raise NotMergeable("two items stand on one line")
    return Body(body.head, body.items, body.tail, strict=strict)
