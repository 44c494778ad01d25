"""The OpenAPI 3.1 document, derived from the registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from repomesh.kernel import limits
from repomesh.kernel.errors import FAILURES, Failure, RepomeshError
from repomesh.kernel.operation import HttpBinding, Kind, Operation, Registry

_REF = "#/components/schemas/{model}"
_ALWAYS_POSSIBLE = (
    Failure.UNAUTHENTICATED,
    Failure.FORBIDDEN,
    Failure.NOT_FOUND,  # also of the agent that a header names
    Failure.INVALID,
    Failure.MISDIRECTED,
    Failure.INTERNAL,
    Failure.UNAVAILABLE,
)
_POSSIBLE_WITH_BODY = (Failure.TIMED_OUT, Failure.TOO_LARGE, Failure.UNSUPPORTED, Failure.CONFLICT)

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "An RFC 9457 problem document. Further members are the details of its code.",
    "required": ["type", "title", "status", "detail", "code", "hint", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable and made for programs."},
        "hint": {"type": "string", "description": "What to do about it."},
        "trace_id": {"type": "string"},
    },
}


def openapi_document(registry: Registry, version: str) -> dict[str, Any]:
    """Build the document of all operations that have an HTTP binding."""
    operations = [operation for operation in registry if operation.http is not None]
    names, schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        assert operation.http is not None
        path = paths.setdefault(operation.http.path, {})
        path[operation.http.method.lower()] = _operation(operation, operation.http, names, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "repomesh",
            "version": version,
            "description": "One server where AI agents and people work together on a repository.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(
    operations: Iterable[Operation],
) -> tuple[dict[tuple[type[BaseModel], str], str], dict[str, Any]]:
    """The name of each model's schema, and the schemas."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for operation in operations:
        models += [(operation.request, "validation"), (operation.result, "serialization")]
    references, definitions = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)
    names = {key: str(value["$ref"]).rpartition("/")[2] for key, value in references.items()}
    return names, definitions.get("$defs", {})  # type: ignore[return-value]


def _operation(
    operation: Operation,
    binding: HttpBinding,
    names: dict[tuple[type[BaseModel], str], str],
    schemas: dict[str, Any],
) -> dict[str, Any]:
    request = schemas[names[operation.request, "validation"]]
    if operation.kind is Kind.SUBSCRIPTION:
        content = {"text/event-stream": {"schema": {"type": "string"}}}
    else:
        result = {"$ref": _REF.format(model=names[operation.result, "serialization"])}
        content = {"application/json": {"schema": result}}
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.name.partition(".")[0]],
        "parameters": _parameters(operation, binding, request),
        "responses": {
            str(binding.status): {"description": operation.summary, "content": content},
            **_refusals(operation, binding),
        },
    }
    if operation.description:
        entry["description"] = operation.description
    if binding.has_body:
        entry["requestBody"] = _body(binding, request)
    return entry


def _parameters(operation: Operation, binding: HttpBinding, request: dict[str, Any]) -> list[dict[str, Any]]:
    properties = request.get("properties", {})
    required = request.get("required", [])
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _without_null(properties[name])}
        for name in binding.path_fields
    ]
    if not binding.has_body:
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
            for name, schema in properties.items()
            if name not in binding.path_fields
        ]
    return parameters + [_HEADERS[name] for name in _header_names(operation)]


def _header_names(operation: Operation) -> list[str]:
    names = ["X-Repomesh-Agent"]
    if operation.kind is Kind.COMMAND:
        names.append("Idempotency-Key")
    if _is_versioned(operation):
        names.append("If-Match")
    return names


def _is_versioned(operation: Operation) -> bool:
    return any(error.failure is Failure.STALE for error in operation.errors)


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"} | schema,
    }


_HEADERS = {
    header["name"]: header
    for header in (
        _header(
            "X-Repomesh-Agent",
            "With the owner's token: the name or id of the agent that acts.",
            pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$",
            maxLength=limits.NAME_CHARS_MAX,
        ),
        _header(
            "Idempotency-Key",
            "The same key with the same request answers the first result.",
            pattern="^[\\x21-\\x7e]+$",
            minLength=1,
            maxLength=limits.IDEMPOTENCY_KEY_CHARS_MAX,
        ),
        _header(
            "If-Match",
            "The ETag of what was read; refused with 412 when it has changed since.",
            pattern='^"[0-9]{1,15}"$',
        ),
    )
}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null: a parameter without a value is left out of the request."""
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    remaining = {name: value for name, value in schema.items() if name != "anyOf"}
    if remaining.get("default", ...) is None:
        del remaining["default"]
    if not choices:
        return remaining
    return remaining | (choices[0] if len(choices) == 1 else {"anyOf": choices})


def _body(binding: HttpBinding, request: dict[str, Any]) -> dict[str, Any]:
    properties = {
        name: schema
        for name, schema in request.get("properties", {}).items()
        if name not in binding.path_fields
    }
    required = [name for name in request.get("required", []) if name not in binding.path_fields]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _refusals(operation: Operation, binding: HttpBinding) -> dict[str, Any]:
    failures = {*_ALWAYS_POSSIBLE, *(error.failure for error in operation.errors)}
    if binding.has_body or operation.kind is Kind.COMMAND:
        failures |= {*_POSSIBLE_WITH_BODY}
    if operation.rate is not None or operation.blocking is not None:
        failures.add(Failure.RATE_LIMITED)
    statuses = sorted({FAILURES[failure].http for failure in failures})
    return {str(status): _refusal(status, operation.errors) for status in statuses}


def _refusal(status: int, errors: tuple[type[RepomeshError], ...]) -> dict[str, Any]:
    codes = [error.code for error in errors if FAILURES[error.failure].http == status]
    return {
        "description": f"Refused: {', '.join(codes)}." if codes else "Refused.",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
