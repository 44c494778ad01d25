"""The catalogue: what clients need to know of every operation, without importing the server.

It is derived from the registry and kept as `repomesh/client/catalogue.json`, so that the command line
starts fast; `make docs` writes it anew.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from repomesh.kernel.operation import Operation, Registry

_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def catalogue(registry: Registry) -> dict[str, Any]:
    """Every operation that clients can call, by name."""
    offered = sorted((each for each in registry if each.http is not None), key=lambda each: each.name)
    return {operation.name: _entry(operation) for operation in offered}


def _entry(operation: Operation) -> dict[str, Any]:
    assert operation.http is not None
    entry: dict[str, Any] = {
        "kind": operation.kind.value,
        "method": operation.http.method,
        "path": operation.http.path,
        "summary": operation.summary,
        "description": operation.description,
        "request": _place(operation.request),
        "result": _result(operation.result),
        "answers": [name for name, field in operation.result.model_fields.items() if field.is_required()],
        "item": _item(operation.result),
        "fields": _fields(operation.request),
    }
    marks = {
        "waits": operation.blocking is not None,
        "needs_agent": operation.needs_agent,
        "secret": operation.secret,
        "tool": operation.tool.name if operation.tool is not None else None,
    }
    return entry | {name: mark for name, mark in marks.items() if mark}


def _place(model: type[BaseModel]) -> str:
    return f"{model.__module__}:{model.__name__}"


def _result(model: type[BaseModel]) -> list[str]:
    """Where the model is; for a page of something, where the page and the something are."""
    generic = model.__pydantic_generic_metadata__
    if generic["origin"] is None:
        return [_place(model)]
    return [_place(generic["origin"]), *(_place(item) for item in generic["args"])]


def _item(model: type[BaseModel]) -> str:
    """The name of what a list holds, else of the result itself."""
    items = model.model_fields.get("items")
    held = get_args(items.annotation) if items is not None else ()
    return str((held[0] if held else model).__name__)


def _fields(request: type[BaseModel]) -> list[dict[str, Any]]:
    schema = request.model_json_schema()
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    fields = []
    for name, described in schema.get("properties", {}).items():
        field = {"name": name} | _type(described, definitions)
        if name in required:
            field["required"] = True
        elif described.get("default") is not None:
            field["default"] = described["default"]
        help_ = described.get("description") or _resolved(described, definitions).get("description")
        if help_:
            field["help"] = " ".join(help_.split())
        fields.append(field)
    return fields


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`type` is a scalar's, 'time', 'json' for what has to be written as such, or 'any' for that or a text.

    `many` marks a list.
    """
    if _is_text_or_json(schema, definitions):
        return {"type": "any"}
    schema = _resolved(schema, definitions)
    if schema.get("format") == "date-time":
        return {"type": "time"}
    kinds = [_resolved(choice, definitions).get("type") for choice in schema.get("anyOf", [])]
    type_ = schema.get("type", "string" if kinds and {*kinds} <= {"string", "null"} else "json")
    if type_ == "array":
        item = _type(schema.get("items", {}), definitions)
        return {"type": "json"} if item["type"] == "json" or "many" in item else item | {"many": True}
    if type_ not in _SCALARS:
        return {"type": "json"}
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    return {"type": type_, "choices": choices} if choices else {"type": type_}


def _is_text_or_json(schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Whether a text is taken as it stands, and anything else, too."""
    if "$ref" in schema:
        schema = _resolved(schema, definitions)
    if not schema.keys() & {"type", "anyOf", "enum", "const", "oneOf", "allOf"}:
        return True
    kinds = {_resolved(choice, definitions).get("type") for choice in schema.get("anyOf", [])}
    return {"string", "object"} <= kinds


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference, or behind 'this or null'; of a scalar or a list of it, the list."""
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    lists = [choice for choice in choices if choice.get("type") == "array"]
    if len(choices) == 1 or len(lists) == 1:
        return _resolved((lists or choices)[0], definitions) | {
            key: value for key, value in schema.items() if key in ("description", "default")
        }
    return schema


def text(registry: Registry) -> str:
    """The catalogue as it stands in its file."""
    return json.dumps(catalogue(registry), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the catalogue of this release to the file that is named."""
    from repomesh.operations import registry

    Path(sys.argv[1]).write_text(text(registry))


if __name__ == "__main__":
    main()
