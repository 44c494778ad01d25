"""The OpenAPI document: valid, complete, and what the server serves."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from schemathesis import openapi

import contract
from harness import Mesh
from repomesh.kernel.errors import FAILURES
from repomesh.kernel.operation import Kind
from repomesh.operations import registry
from repomesh.surfaces.http.openapi import openapi_document

DOCUMENT = openapi_document(registry, "test")
OFFERED = [operation for operation in registry if operation.http is not None]


def described(operation: Any) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][operation.http.path][operation.http.method.lower()]
    return found


def test_it_is_a_valid_document() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    openapi.from_dict(DOCUMENT).validate()
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("additionalProperties") is False or "properties" not in schema or name == "Problem"


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}

    def references(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(references, node))
        if not isinstance(node, dict):
            return set()
        here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return here.union(*map(references, node.values()))

    assert references(DOCUMENT) <= known


def test_every_operation_is_there_once() -> None:
    ids = [method["operationId"] for path in DOCUMENT["paths"].values() for method in path.values()]
    assert sorted(ids) == sorted(operation.name for operation in OFFERED)
    for operation in OFFERED:
        assert described(operation)["operationId"] == operation.name
        assert described(operation)["summary"], operation.name


def test_every_refusal_is_announced() -> None:
    for operation in OFFERED:
        answers = described(operation)["responses"]
        for error in operation.errors:
            status = str(FAILURES[error.failure].http)
            assert error.code in answers[status]["description"], (operation.name, error.code)
        always = {"401", "403", "404", "421", "422", "500", "503"}
        assert always <= answers.keys(), operation.name


def test_every_field_is_in_one_place() -> None:
    for operation in OFFERED:
        told = described(operation)
        places = {parameter["name"]: parameter["in"] for parameter in told["parameters"]}
        body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        for name in (field.alias or name for name, field in operation.request.model_fields.items()):
            in_path = name in operation.http.path_fields
            place = "path" if in_path else "body" if operation.http.has_body else "query"
            found = "body" if name in body.get("properties", {}) else places.get(name)
            assert found == place, (operation.name, name)
        headers = {name for name, place in places.items() if place == "header"}
        assert ("Idempotency-Key" in headers) == (operation.kind is Kind.COMMAND), operation.name


@pytest.mark.anyio
@pytest.mark.parametrize("engine", ["sqlite"])
async def test_it_is_what_the_server_serves(mesh: Mesh) -> None:
    served = await mesh.anonymous().get("/openapi.json")
    served["info"]["version"] = "test"
    assert served == json.loads(json.dumps(DOCUMENT))


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-actions.json", "/v1/schemas/change.v1.json"])
async def test_who_has_it_is_not_sent_it_again(mesh: Mesh, path: str) -> None:
    first = await mesh.http.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for given in (etag, f'"other", W/{etag}', "*"):
        again = await mesh.http.get(path, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = await mesh.http.get(path, headers={"If-None-Match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


@pytest.mark.anyio
async def test_answers_outside_of_it_are_noticed_by_the_tests() -> None:
    async def judge(status: int, body: object) -> None:
        request = httpx.Request("GET", "http://localhost/v1/agents")
        await contract.check(httpx.Response(status, json=body, request=request))

    await judge(200, {"items": [], "next_cursor": None, "omitted": None})
    for status, body in ((200, {"items": [{}]}), (200, []), (418, {}), (404, {"items": []})):
        with pytest.raises(AssertionError):
            await judge(status, body)
