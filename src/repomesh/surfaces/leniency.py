"""What models get wrong without harm in the fields of a call: read as it is meant, and said so in the answer.

A list or object that comes as JSON text, a number or a truth value that comes as text, null for what was not
given, and one text where a list of texts is wanted. Only where the field can mean nothing else: a field that
takes a text is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.json_text import parse_json

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_TRUTH = {"true": True, "false": False}
_CONTAINERS = {"array": list, "object": dict}
_ANYTHING = frozenset({"string", "null", "array", "object", "integer", "number", "boolean"})


def corrected(request: type[BaseModel], fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields as the request takes them, and a sentence about each that was read otherwise than it came.

    What can't be read so is left for the request to refuse.
    """
    expected = _expected(request)
    read: dict[str, Any] = {}
    corrections: list[str] = []
    for name, value in fields.items():
        types, optional, of_texts = expected.get(name, (_ANYTHING, False, False))
        if value is None and optional and "null" not in types:
            corrections.append(f"{name}: null was taken for 'not given'")
            continue
        meant = _meant(value, types) if isinstance(value, str) else value
        if meant is value and isinstance(value, str) and of_texts and value.strip()[:1] not in ("", "[", "{"):
            corrections.append(f"{name}: a text was read as a list of one")
            meant = [value]
        elif meant is not value:
            corrections.append(f"{name}: a text was read as {_kind(meant)}")
        read[name] = meant
    return read, corrections


def _meant(text: str, types: frozenset[str]) -> Any:
    if "string" in types:
        return text
    word = text.strip()
    if "integer" in types and _INTEGER.fullmatch(word):
        return int(word)
    if "number" in types and _NUMBER.fullmatch(word):
        return float(word)
    if "boolean" in types and word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    wanted = tuple(_CONTAINERS[one] for one in types if one in _CONTAINERS)
    if wanted and word[:1] in ("[", "{"):
        try:
            value = parse_json(word.encode(errors="replace"))
        except (ValueError, InvalidRequest):
            return text
        return value if isinstance(value, wanted) else text
    return text


def _kind(value: Any) -> str:
    if isinstance(value, list | dict):
        return "the list in it" if isinstance(value, list) else "the object in it"
    return f"{str(value).lower() if isinstance(value, bool) else value}"


@cache
def _expected(request: type[BaseModel]) -> dict[str, tuple[frozenset[str], bool, bool]]:
    """Of each field the JSON types that it takes, whether it may be left out, and whether it is of texts."""
    schema = request.model_json_schema()
    required = set(schema.get("required", ()))
    definitions = schema.get("$defs", {})
    return {
        name: (
            types := _types(field, definitions),
            name not in required,
            _of_texts(field, types, definitions),
        )
        for name, field in schema.get("properties", {}).items()
    }


def _of_texts(field: Mapping[str, Any], types: frozenset[str], definitions: Mapping[str, Any]) -> bool:
    """Whether the field takes a list of texts, and no text."""
    lists = [field, *field.get("anyOf", ())]
    items = [one["items"] for one in lists if one.get("type") == "array" and "items" in one]
    return "string" not in types and any("string" in _types(one, definitions) for one in items)


def _types(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> frozenset[str]:
    if "$ref" in field:
        return _types(definitions[field["$ref"].rpartition("/")[2]], definitions)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in field:
            return frozenset().union(*(_types(one, definitions) for one in field[choice]))
    if "type" in field:
        return frozenset([field["type"]] if isinstance(field["type"], str) else field["type"])
    return frozenset({"string"}) if "enum" in field or "const" in field else _ANYTHING
