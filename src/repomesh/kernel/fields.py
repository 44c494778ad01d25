"""The field types that requests share, each with its bounds, and the pages that lists answer."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Generic, TypeVar

import orjson
from pydantic import Field, StringConstraints

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.operation import Model

Item = TypeVar("Item")

# NUL can't be stored as text everywhere, and no honest text holds it.
_NO_NUL = r"^[^\x00]*$"
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", min_length=1, max_length=limits.NAME_CHARS_MAX
    ),
]
"""A name of an agent or channel: letters, digits, '.', '_' and '-', beginning with a letter or digit."""

Scope = Annotated[
    str, StringConstraints(pattern=r"^([a-z_]+|\*):(read|write|admin)$", max_length=limits.NAME_CHARS_MAX)
]
"""What a token may do in one area: 'messages:read'; '*' stands for every area."""

Label = Annotated[str, StringConstraints(pattern=_ONE_LINE, max_length=limits.LABEL_CHARS_MAX)]
"""One line of text."""

Text = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=limits.TEXT_CHARS_MAX)]
"""Text of any number of lines, Markdown where people read it."""

Reason = Annotated[str, StringConstraints(pattern=_NO_NUL, max_length=limits.REASON_CHARS_MAX)]
"""A sentence or two on why."""

Tag = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f,]+$", max_length=limits.NAME_CHARS_MAX)]
"""A short word to find things by."""

Tags = Annotated[tuple[Tag, ...], Field(max_length=limits.LIST_ITEMS_MAX)]

PageLimit = Annotated[int, Field(ge=1, le=limits.PAGE_ITEMS_MAX, description="Items a page.")]

_BUDGET = "Budget for the answer's text; what was left out is said."

MaxChars = Annotated[int, Field(ge=limits.MAX_CHARS_MIN, le=limits.MAX_CHARS_MAX, description=_BUDGET)]
"""Characters of a list at most."""

RecordChars = Annotated[int, Field(ge=limits.RECORD_CHARS_MIN, le=limits.MAX_CHARS_MAX, description=_BUDGET)]
"""Characters of one message or summary at most; its names, ids and figures are never left out."""

DetailChars = Annotated[int, Field(ge=limits.DETAIL_CHARS_MIN, le=limits.MAX_CHARS_MAX, description=_BUDGET)]
"""The same of a task, meeting, decision or review."""

TextChars = Annotated[
    int,
    Field(
        ge=limits.TEXT_CHARS_MIN,
        le=limits.MAX_CHARS_MAX,
        description="Characters of the text at most.",
    ),
]

Cursor = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=512),
    Field(description="`next_cursor` of the page before."),
]

TtlSeconds = Annotated[float, Field(ge=limits.LEASE_TTL_S_MIN, le=limits.LEASE_TTL_S_MAX)]

WaitSeconds = Annotated[float, Field(ge=0, le=limits.WAIT_S_MAX)]

FencingToken = Annotated[int, Field(ge=1, le=2**53, description="As the lease answered it.")]

Position = Annotated[int, Field(ge=0, le=2**53, description="A `seq` of the event log.")]


class Page(Model, Generic[Item]):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: str | None = None
    omitted: str | None = Field(None, description="What `max_chars` left out, in words.")
    notice: str | None = Field(
        None,
        exclude_if=lambda notice: notice is None,
        description="What a search could not look for, or not look through yet.",
    )
    damaged: list[str] = Field(
        default_factory=list,
        exclude_if=lambda keys: not keys,
        description="Records that are left out since they can't be read, by their place in the list.",
    )


def encode_cursor(*position: str | int | float | None) -> str:
    """An opaque cursor that names the position after which the next page begins."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode()


def _is_key(part: object) -> bool:
    """Whether a cursor's part can stand in a row: whoever made the cursor up may have put anything in."""
    if isinstance(part, str):
        return "\0" not in part
    return part is None or isinstance(part, float) or (type(part) is int and abs(part) < 2**63)


def decode_cursor(cursor: str, length: int) -> list[str | int | float | None]:
    """The position inside a cursor of `length` parts; raises InvalidRequest when it is not one of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = orjson.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error):
        position = None
    if not isinstance(position, list) or len(position) != length or not all(map(_is_key, position)):
        raise InvalidRequest(
            "cursor: this is not a cursor of this list",
            hint="Send the next_cursor of the page before, or none for the first page.",
            errors=[{"field": "cursor", "message": "not a cursor of this list", "type": "cursor"}],
        )
    return position
