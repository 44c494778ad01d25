"""The description of operations in `tools/list`, in few characters. Imports no protocol library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel

from repomesh.kernel.operation import Operation, Tool

LISTING_CHARS_MAX: Final = 12_000
"""Of the whole `tools/list` result: every agent pays for it at the start of every session."""
TOOLS_MAX: Final = 22

_NAMED_CHILDREN = ("properties", "$defs", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMA_CHILDREN = ("items", "additionalProperties", "not")
# Dispatch refuses values out of bounds and names the bound; a model hardly ever reaches these.
_OMITTED_KEYS = frozenset(
    {"title", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "uniqueItems"}
)
_STRING = {"type": "string"}
_MAXIMUM_SHOWN = 500  # seconds to wait and items a page; larger bounds are not worth their characters
_SELF_EXPLANATORY = frozenset(
    {
        "channel",
        "cursor",
        "fencing_token",
        "limit",
        "max_chars",
        "model",
        "options",
        "question",
        "sender",
        "subject",
        "timeout_s",
        "trace",
    }
)


def tools_by_name(registry: Iterable[Operation]) -> dict[str, Operation]:
    """The operations that are tools, by the tool's name; raises ValueError for a name used twice."""
    tools: dict[str, Operation] = {}
    for operation in registry:
        if operation.tool is not None:
            if operation.tool.name in tools:
                raise ValueError(f"two operations are the tool {operation.tool.name}")
            tools[operation.tool.name] = operation
    return tools


def tool_listing(operation: Operation) -> dict[str, Any]:
    """The entry of an operation in `tools/list`."""
    tool = operation.tool
    assert tool is not None
    return {
        "name": tool.name,
        "description": tool.description or operation.summary,
        "inputSchema": closed_schema(operation.request, tool.fields),
        "annotations": _annotations(tool),
    }


def _annotations(tool: Tool) -> dict[str, bool]:
    """The hints that differ from the protocol's defaults, which assume the worst: destructive, open world.

    Some clients ask the user before each call unless it is read-only, or both not destructive and of a
    closed world.
    """
    if tool.read_only:
        return {"readOnlyHint": True}
    hints = {"destructiveHint": tool.destructive, "openWorldHint": False}
    return hints | ({"idempotentHint": True} if tool.idempotent else {})


def closed_schema(model: type[BaseModel], fields: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The shortest JSON Schema of a request, which allows no unknown fields.

    `fields` selects and orders the fields shown; the operation still takes all. Raises ValueError for a
    recursive model, and for a required field that is not shown.
    """
    full = _narrow(model.model_json_schema(), model, fields)
    for part in (full, *full.get("$defs", {}).values()):
        part.pop("description", None)  # the docstrings of models are for readers of the code
    schema: dict[str, Any] = _shorten(full)
    schema["additionalProperties"] = False
    for name in _SELF_EXPLANATORY & schema["properties"].keys():
        schema["properties"][name].pop("description", None)
    inlined = _inline_definitions(schema)
    return inlined if inlined is not None and _length(inlined) <= _length(schema) else schema


def _narrow(schema: dict[str, Any], model: type[BaseModel], fields: tuple[str, ...] | None) -> dict[str, Any]:
    if "$ref" in schema:
        raise ValueError(f"{model.__name__} contains itself: a tool's arguments can't be described so")
    properties = schema.get("properties", {})
    shown_fields = tuple(properties) if fields is None else fields
    missing = set(schema.get("required", ())) - set(shown_fields)
    if missing:
        raise ValueError(f"{model.__name__} needs {sorted(missing)}, which its tool does not show")
    return schema | {"properties": {name: properties[name] for name in shown_fields}}


def _shorten(schema: Any) -> Any:
    """The schema without keys that a model has no use for, and without null as a choice."""
    if not isinstance(schema, dict):
        return schema
    shortened = {key: value for key, value in schema.items() if key not in _OMITTED_KEYS}
    if shortened.get("maximum", 0) > _MAXIMUM_SHOWN:
        del shortened["maximum"]
    for key in _NAMED_CHILDREN:
        if key in shortened:
            shortened[key] = {name: _shorten(child) for name, child in shortened[key].items()}
    for key in _SCHEMA_LISTS:
        if key in shortened:
            shortened[key] = [_shorten(child) for child in shortened[key]]
    for key in _SCHEMA_CHILDREN:
        if key in shortened:
            shortened[key] = _shorten(shortened[key])
    if not shortened.get("default", True):
        del shortened["default"]  # empty, zero and false are the expected defaults
    return _reduce_choices(shortened) if "anyOf" in shortened else shortened


def _reduce_choices(schema: dict[str, Any]) -> dict[str, Any]:
    """Reduce `X or null` to `X`, since null means the same as no field, and `string or 'next'` to string."""
    choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
    if _STRING in choices:
        choices = [choice for choice in choices if choice == _STRING or choice.get("type") != "string"]
    other_keys = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**(choices[0] if len(choices) == 1 else {"anyOf": choices}), **other_keys}


def _inline_definitions(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema with every definition written where it is used; None when a definition uses itself."""
    definitions = schema.get("$defs", {})

    def inline(node: Any, enclosing: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [inline(child, enclosing) for child in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix("#/$defs/")
            if name in enclosing:
                raise RecursionError(name)
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            return {**inline(definitions[name], (*enclosing, name)), **siblings}
        return {key: inline(value, enclosing) for key, value in node.items()}

    try:
        inlined: dict[str, Any] = inline({key: value for key, value in schema.items() if key != "$defs"}, ())
    except RecursionError:
        return None
    return inlined


def compact(value: object) -> str:
    """The shortest JSON of plain values."""
    return orjson.dumps(value, default=str).decode()


def _length(schema: Mapping[str, Any]) -> int:
    return len(compact(schema))
