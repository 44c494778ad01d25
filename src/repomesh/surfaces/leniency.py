"""Corrects harmless mistakes of models in the fields of a call, and reports each correction.

A list or object that comes as JSON text, a number or boolean that comes as text, null for a field that is not
given, and one text for a list of texts. Only where the field can mean nothing else: a field that takes a text
is left as it is.
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


def correct_fields(request: type[BaseModel], fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields as the request takes them, and a sentence about each correction.

    Values that can't be corrected are left for the request to refuse.
    """
    expected = _field_types(request)
    values: dict[str, Any] = {}
    corrections: list[str] = []
    for name, value in fields.items():
        types, is_optional, is_text_list = expected.get(name, (_ANYTHING, False, False))
        if value is None and is_optional and "null" not in types:
            corrections.append(f"{name}: null was taken for 'not given'")
            continue
        value_read = _convert_text(value, types) if isinstance(value, str) else value
        if (
            value_read is value
            and isinstance(value, str)
            and is_text_list
            and value.strip()[:1] not in ("", "[", "{")
        ):
            corrections.append(f"{name}: a text was read as a list of one")
            value_read = [value]
        elif value_read is not value:
            corrections.append(f"{name}: a text was read as {_describe_value(value_read)}")
        values[name] = value_read
    return values, corrections


def _convert_text(text: str, types: frozenset[str]) -> Any:
    if "string" in types:
        return text
    word = text.strip()
    if "integer" in types and _INTEGER.fullmatch(word):
        return int(word)
    if "number" in types and _NUMBER.fullmatch(word):
        return float(word)
    if "boolean" in types and word.lower() in _TRUTH:
        return _TRUTH[word.lower()]
    containers = tuple(_CONTAINERS[type_name] for type_name in types if type_name in _CONTAINERS)
    if containers and word[:1] in ("[", "{"):
        try:
            value = parse_json(word.encode(errors="replace"))
        except (ValueError, InvalidRequest):
            return text
        return value if isinstance(value, containers) else text
    return text


def _describe_value(value: Any) -> str:
    if isinstance(value, list | dict):
        return "the list in it" if isinstance(value, list) else "the object in it"
    return f"{str(value).lower() if isinstance(value, bool) else value}"


@cache
def _field_types(request: type[BaseModel]) -> dict[str, tuple[frozenset[str], bool, bool]]:
    """The JSON types of each field, whether it is optional, and whether it is a list of texts."""
    schema = request.model_json_schema()
    required = set(schema.get("required", ()))
    definitions = schema.get("$defs", {})
    return {
        name: (
            types := _types(field, definitions),
            name not in required,
            _is_text_list(field, types, definitions),
        )
        for name, field in schema.get("properties", {}).items()
    }


def _is_text_list(field: Mapping[str, Any], types: frozenset[str], definitions: Mapping[str, Any]) -> bool:
    """Whether the field takes a list of texts, and no single text."""
    lists = [field, *field.get("anyOf", ())]
    items = [
        list_schema["items"]
        for list_schema in lists
        if list_schema.get("type") == "array" and "items" in list_schema
    ]
    return "string" not in types and any(
        "string" in _types(list_schema, definitions) for list_schema in items
    )


def _types(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> frozenset[str]:
    if "$ref" in field:
        return _types(definitions[field["$ref"].rpartition("/")[2]], definitions)
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in field:
            return frozenset().union(*(_types(choice_schema, definitions) for choice_schema in field[choice]))
    if "type" in field:
        return frozenset([field["type"]] if isinstance(field["type"], str) else field["type"])
    return frozenset({"string"}) if "enum" in field or "const" in field else _ANYTHING
