"""The catalogue: a description of every operation for clients, which need not import the server.

It is derived from the registry and stored as `repomesh/client/catalogue.json`, so that the command line
starts fast; `make docs` updates it.
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
    operations = sorted(
        (operation for operation in registry if operation.http is not None),
        key=lambda operation: operation.name,
    )
    return {operation.name: _entry(operation) for operation in operations}


def _entry(operation: Operation) -> dict[str, Any]:
    assert operation.http is not None
    entry: dict[str, Any] = {
        "kind": operation.kind.value,
        "method": operation.http.method,
        "path": operation.http.path,
        "summary": operation.summary,
        "description": operation.description,
        "request": _import_path(operation.request),
        "result": _result(operation.result),
        "answers": [
            field.alias or name
            for name, field in operation.result.model_fields.items()
            if field.is_required()
        ],
        "item": _item(operation.result),
        "fields": _fields(operation.request),
    }
    marks = {
        "waits": operation.blocking is not None,
        "needs_agent": operation.needs_agent,
        "secret": operation.secret_field,
        "tool": operation.tool.name if operation.tool is not None else None,
    }
    return entry | {name: mark for name, mark in marks.items() if mark}


def _import_path(model: type[BaseModel]) -> str:
    return f"{model.__module__}:{model.__name__}"


def _result(model: type[BaseModel]) -> list[str]:
    """The import path of the model; for a page, that of the page and of its item."""
    generic = model.__pydantic_generic_metadata__
    if generic["origin"] is None:
        return [_import_path(model)]
    return [_import_path(generic["origin"]), *(_import_path(item) for item in generic["args"])]


def _item(model: type[BaseModel]) -> str:
    """The name of a list's item model, else of the result itself."""
    items = model.model_fields.get("items")
    item_types = get_args(items.annotation) if items is not None else ()
    return str((item_types[0] if item_types else model).__name__)


def _fields(request: type[BaseModel]) -> list[dict[str, Any]]:
    schema = request.model_json_schema()
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    fields = []
    for name, field_schema in schema.get("properties", {}).items():
        field = {"name": name} | _type(field_schema, definitions)
        if name in required:
            field["required"] = True
        elif field_schema.get("default") is not None:
            field["default"] = field_schema["default"]
        help_ = field_schema.get("description") or _resolve_reference(field_schema, definitions).get(
            "description"
        )
        if help_:
            field["help"] = " ".join(help_.split())
        fields.append(field)
    return fields


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The type of a field: a scalar's, 'time', 'json' for other values, or 'any' for JSON or a text.

    `many` marks a list, `choices` an enumeration.
    """
    if _is_text_or_json(schema, definitions):
        return {"type": "any"}
    schema = _resolve_reference(schema, definitions)
    if schema.get("format") == "date-time":
        return {"type": "time"}
    kinds = [_resolve_reference(choice, definitions).get("type") for choice in schema.get("anyOf", [])]
    type_ = schema.get("type", "string" if kinds and {*kinds} <= {"string", "null"} else "json")
    if type_ == "array":
        item = _type(schema.get("items", {}), definitions)
        return {"type": "json"} if item["type"] == "json" or "many" in item else item | {"many": True}
    if type_ not in _SCALARS:
        return {"type": "json"}
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    return {"type": type_, "choices": choices} if choices else {"type": type_}


def _is_text_or_json(schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Whether a field takes any text, and any other value, too."""
    if "$ref" in schema:
        schema = _resolve_reference(schema, definitions)
    if not schema.keys() & {"type", "anyOf", "enum", "const", "oneOf", "allOf"}:
        return True
    kinds = {_resolve_reference(choice, definitions).get("type") for choice in schema.get("anyOf", [])}
    return {"string", "object"} <= kinds


def _resolve_reference(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference or 'this or null'; the list where it is a scalar or a list of it."""
    if "$ref" in schema:
        return _resolve_reference(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    lists = [choice for choice in choices if choice.get("type") == "array"]
    if len(choices) == 1 or len(lists) == 1:
        return _resolve_reference((lists or choices)[0], definitions) | {
            key: value for key, value in schema.items() if key in ("description", "default")
        }
    return schema


def catalogue_text(registry: Registry) -> str:
    """The text of the catalogue's file."""
    return json.dumps(catalogue(registry), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the catalogue to the file that the first argument names."""
    from repomesh.operations import registry

    Path(sys.argv[1]).write_text(catalogue_text(registry))


if __name__ == "__main__":
    main()
