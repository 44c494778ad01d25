"""Cuts a source into a body: of whole lines, or of items between separators."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from repomesh.domains.changes.building.structured.entities import Body, Entity

_COMMENT = r"(?>#[^\n]*|//[^\n]*|/\*.*?\*/)"
_SEPARATOR = re.compile(rf"(?:{_COMMENT}|[^,#/])*+,", re.DOTALL)
_COMMENTS = re.compile(rf"(?:{_COMMENT}|\\s)*+", re.DOTALL)
_SAME_LINE = re.compile(r"[ \t]*(?:#|//|/\*)[^\n]*(?=\n)")


@dataclass(frozen=True, slots=True)
class EntitySpan:
    """An entity and where it stands: from and to (not included), in lines or in characters.

    The comments above it are not counted. Its lead, text and trail are set when the body is cut.
    """

    start: int
    end: int
    entity: Entity


def body_of_lines(
    lines: Sequence[str], parts: Sequence[EntitySpan], start: int, end: int, *, preamble: bool = False
) -> Body | None:
    """The body of the lines from `start` to `end`, each item with the comments above it.

    None where two items share a line. With `preamble`, comments at the top that stand apart are the head.
    """
    head = ""
    items: list[Entity] = []
    position = start
    for index, part in enumerate(parts):
        if part.start < position:
            return None
        if index == 0 and preamble:
            behind = _preamble(lines, position, part.start)
            head, position = "".join(lines[position:behind]), behind
        begin = position
        while begin < part.start and not lines[begin].strip():
            begin += 1
        comments, own = "".join(lines[begin : part.start]), "".join(lines[part.start : part.end])
        items.append(_placed(part.entity, "".join(lines[position:begin]), comments, own, ""))
        position = part.end
    return Body(head, tuple(items), "".join(lines[position:end]))


def body_of_list(
    text: str, parts: Sequence[EntitySpan], span: tuple[int, int], inner: tuple[int, int]
) -> Body | None:
    """The body of an entity that stands at `span`, whose items stand inside of its brackets, between commas.

    None where a comment stands before a comma, or an item in brackets of its own.
    """
    items: list[Entity] = []
    position = inner[0]
    closed = False
    for index, part in enumerate(parts):
        gap = text[position : part.start]
        comments = gap.lstrip()
        is_last = index + 1 == len(parts)
        between = text[part.end : inner[1] if is_last else parts[index + 1].start]
        closed = (separator := _SEPARATOR.match(between)) is not None
        taken = separator.end() if separator else 0
        if (
            between[:taken].rstrip(",").strip()
            or not (closed or is_last)
            or not _COMMENTS.fullmatch(comments)
        ):
            return None
        same_line = _SAME_LINE.match(between, taken)
        trail = same_line.group() if same_line else ""
        lead = gap[: len(gap) - len(comments)]
        items.append(_placed(part.entity, lead, comments, text[part.start : part.end], trail))
        position = part.end + taken + len(trail)
    return Body(text[span[0] : inner[0]], tuple(items), text[position : span[1]], ",", closed)


def _placed(entity: Entity, lead: str, comments: str, own: str, trail: str) -> Entity:
    body, shape = entity.body, entity.shape
    if body is not None and comments:
        body = replace(body, head=comments + body.head)
    if shape is not None and comments.strip():
        shape = partial(_with_comments, shape, comments)
    return Entity(  # `replace` takes three times as long
        entity.key,
        lead,
        comments + own,
        trail,
        body,
        entity.ordered,
        entity.joined,
        entity.value,
        entity.binds,
        shape,
    )


def _with_comments(shape: Callable[[], str], comments: str) -> str:
    return f"{' '.join(comments.split())}\n{shape()}"


def _preamble(lines: Sequence[str], start: int, end: int) -> int:
    """The line behind the comments at the top of a file: those before an empty line, or a `#!`."""
    behind = start + 1 if start < end and lines[start].startswith("#!") else start
    for index in range(start, end - 1):
        if lines[index].strip() and not lines[index + 1].strip():
            behind = index + 1
    return behind
