"""What `tools/list` says of an operation, in few characters. Knows nothing of the protocol library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel

from repomesh.kernel.operation import Operation, Tool

LISTING_CHARS_MAX: Final = 11_100
"""Of the whole `tools/list` result: every agent pays for it at the start of every session."""
TOOLS_MAX: Final = 20

_NAMED_CHILDREN = ("properties", "$defs", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMA_CHILDREN = ("items", "additionalProperties", "not")
# Dispatch refuses what is out of bounds and says which bound it was; a model hardly ever meets these.
_LEFT_OUT = frozenset(
    {"title", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "uniqueItems"}
)
_STRING = {"type": "string"}
_MAXIMUM_SAID = 500  # seconds to wait and items a page; of larger bounds nobody needs to be told
_NAMES_SAY_IT = frozenset(
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


def offered(registry: Iterable[Operation]) -> dict[str, Operation]:
    """The operations that are tools, by the tool's name."""
    tools: dict[str, Operation] = {}
    for operation in registry:
        if operation.tool is not None:
            if operation.tool.name in tools:
                raise ValueError(f"two operations are the tool {operation.tool.name}")
            tools[operation.tool.name] = operation
    return tools


def listed(operation: Operation) -> dict[str, Any]:
    """An operation as `tools/list` shows it."""
    tool = operation.tool
    assert tool is not None
    return {
        "name": tool.name,
        "description": tool.description or operation.summary,
        "inputSchema": closed_schema(operation.request, tool.fields),
        "annotations": _annotations(tool),
    }


def _annotations(tool: Tool) -> dict[str, bool]:
    """Only what differs from the protocol's defaults, which assume the worst: destructive, open world.

    Some clients ask the person before each call unless it is read-only, or both not destructive and of a
    closed world.
    """
    if tool.read_only:
        return {"readOnlyHint": True}
    hints = {"destructiveHint": tool.destructive, "openWorldHint": False}
    return hints | ({"idempotentHint": True} if tool.idempotent else {})


def closed_schema(model: type[BaseModel], fields: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The request's JSON Schema as short as it can be said, with nothing unknown allowed.

    `fields` narrows what is shown, in their order; what the operation takes stays the same.
    """
    full = _narrowed(model.model_json_schema(), model, fields)
    for part in (full, *full.get("$defs", {}).values()):
        part.pop("description", None)  # the docstrings of the models are for who reads the code
    schema: dict[str, Any] = _shortened(full)
    schema["additionalProperties"] = False
    for name in _NAMES_SAY_IT & schema["properties"].keys():
        schema["properties"][name].pop("description", None)
    inlined = _inlined(schema)
    return inlined if inlined is not None and _length(inlined) <= _length(schema) else schema


def _narrowed(
    schema: dict[str, Any], model: type[BaseModel], fields: tuple[str, ...] | None
) -> dict[str, Any]:
    if "$ref" in schema:
        raise ValueError(f"{model.__name__} contains itself: a tool's arguments can't be described so")
    properties = schema.get("properties", {})
    wanted = tuple(properties) if fields is None else fields
    missing = set(schema.get("required", ())) - set(wanted)
    if missing:
        raise ValueError(f"{model.__name__} needs {sorted(missing)}, which its tool does not show")
    return schema | {"properties": {name: properties[name] for name in wanted}}


def _shortened(schema: Any) -> Any:
    """Without what a model has no use for; an optional field is described by the type it has when given."""
    if not isinstance(schema, dict):
        return schema
    short = {key: value for key, value in schema.items() if key not in _LEFT_OUT}
    if short.get("maximum", 0) > _MAXIMUM_SAID:
        del short["maximum"]
    for key in _NAMED_CHILDREN:
        if key in short:
            short[key] = {name: _shortened(child) for name, child in short[key].items()}
    for key in _SCHEMA_LISTS:
        if key in short:
            short[key] = [_shortened(child) for child in short[key]]
    for key in _SCHEMA_CHILDREN:
        if key in short:
            short[key] = _shortened(short[key])
    if not short.get("default", True):
        del short["default"]  # nothing, zero and false are what one expects of a field left out
    return _with_fewer_choices(short) if "anyOf" in short else short


def _with_fewer_choices(schema: dict[str, Any]) -> dict[str, Any]:
    """`X or null` becomes `X`, since leaving the field out says the same, and `string or 'next'` a string."""
    choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
    if _STRING in choices:
        choices = [choice for choice in choices if choice == _STRING or choice.get("type") != "string"]
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**(choices[0] if len(choices) == 1 else {"anyOf": choices}), **outer}


def _inlined(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The schema with every definition written where it is used; None when a definition uses itself."""
    definitions = schema.get("$defs", {})

    def put_in(node: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [put_in(child, inside) for child in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix("#/$defs/")
            if name in inside:
                raise RecursionError(name)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return {**put_in(definitions[name], (*inside, name)), **beside}
        return {key: put_in(value, inside) for key, value in node.items()}

    try:
        whole: dict[str, Any] = put_in({key: value for key, value in schema.items() if key != "$defs"}, ())
    except RecursionError:
        return None
    return whole


def compact(value: object) -> str:
    """The shortest JSON of plain values."""
    return orjson.dumps(value, default=str).decode()


def _length(schema: Mapping[str, Any]) -> int:
    return len(compact(schema))
