"""The field types of sessions and their contents."""

from __future__ import annotations

import json
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from repomesh.kernel import limits
from repomesh.kernel.json_values import require_kept

SessionId = Annotated[
    str,
    StringConstraints(pattern=rf"^[a-z0-9_-]{{1,{limits.NAME_CHARS_MAX}}}$"),
    Field(description="Chosen by who creates it: lower-case letters, digits, '_' and '-'."),
]

Key = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=limits.KEY_CHARS_MAX)
]
"""A name that the caller chooses, unique in its session: letters, digits, '.', '_', ':' and '-'."""

Word = Annotated[str, StringConstraints(pattern=rf"^[a-z][a-z0-9_]{{0,{limits.NAME_CHARS_MAX - 1}}}$")]
"""A lower-case word that names a type."""

Participant = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=limits.NAME_CHARS_MAX)
]
"""The name of a participant: an agent, a person, or a model elsewhere."""

Participants = Annotated[tuple[Participant, ...], Field(max_length=limits.LIST_ITEMS_MAX)]


def as_text(value: JsonValue) -> str:
    """A JSON value as compact text; raises ValueError for what JSON can't represent, such as NaN."""
    try:
        text = orjson.dumps(value).decode()
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"is no JSON that can be kept: {error}") from None
    return text


def _limit_json_chars(chars: int) -> AfterValidator:
    def check(value: Any) -> Any:
        require_kept(value)
        length = len(as_text(value))
        if length > chars:
            raise ValueError(f"has {length} characters as JSON, the limit is {chars}")
        return value

    return AfterValidator(check)


JsonObject = Annotated[dict[str, JsonValue], _limit_json_chars(limits.SESSION_JSON_CHARS_MAX)]


def _require_not_null(value: JsonValue) -> JsonValue:
    if value is None:
        raise ValueError("is null, which says nothing; retract a memory to take it back")
    return value


MemoryContent = Annotated[
    JsonValue,
    _limit_json_chars(limits.MEMORY_CHARS_MAX),
    AfterValidator(_require_not_null),
    Field(json_schema_extra={"not": {"type": "null"}}),
]

Content = str | list[JsonValue] | dict[str, JsonValue]
"""Text as it is, or JSON, which is kept as compact text."""


def content_text(content: Content) -> str:
    """A content as it is stored: text as it is, JSON as compact text."""
    return content if isinstance(content, str) else as_text(content)


def content_bytes(content: Content, bytes_max: int) -> int:
    """The size of a content in UTF-8 bytes; raises ValueError above `bytes_max` and for NUL characters."""
    require_kept(content)
    text = content_text(content)
    if "\0" in text:
        raise ValueError("holds a NUL character")
    size = len(text.encode())
    if size > bytes_max:
        raise ValueError(f"has {size} bytes, the limit is {bytes_max}")
    return size
