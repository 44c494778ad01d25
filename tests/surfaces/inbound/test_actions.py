"""The schema for assistants: within what they take, and of what the webhook takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from schemathesis import openapi

from harness import Mesh
from repomesh.operations import registry
from repomesh.surfaces.inbound.commands import COMMANDS, OPERATIONS, WebhookBatch, WebhookCommand
from repomesh.surfaces.inbound.openapi_actions import OFFERED, actions_document

DOCUMENT = actions_document("1", "https://mesh.example.org/")

# Source: https://developers.openai.com/api/docs/actions/production
ENDPOINT_CHARS_MAX = 300
FIELD_CHARS_MAX = 700


def action() -> Any:
    return DOCUMENT["paths"]["/v1/webhook"]["post"]


def body() -> Any:
    return action()["requestBody"]["content"]["application/json"]["schema"]


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema, however deep."""
    if isinstance(node, dict):
        if "type" in node and isinstance(node["type"], str):
            yield node
        for inner in node.values():
            yield from schemas(inner)


def test_it_is_a_document_that_assistants_take() -> None:
    openapi.from_dict(DOCUMENT).validate()
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["servers"] == [{"url": "https://mesh.example.org"}]
    assert action()["operationId"].isidentifier()
    assert max(len(action()[name]) for name in ("summary", "description")) <= ENDPOINT_CHARS_MAX
    found = list(schemas(action()))
    assert max(len(schema.get("description", "")) for schema in found) <= FIELD_CHARS_MAX
    assert all("properties" in schema for schema in found if schema["type"] == "object")
    assert all("items" in schema for schema in found if schema["type"] == "array")


def test_it_has_every_field_of_every_command_that_it_offers() -> None:
    assert set(OFFERED) == set(COMMANDS) - {"delete_session"}
    assert set(body()["properties"]) == set(WebhookCommand.model_fields)
    fields = {
        field
        for command in OFFERED
        for field in (
            registry[OPERATIONS[command]].request if command in OPERATIONS else WebhookBatch
        ).model_fields
    }
    assert set(body()["properties"]["data"]["properties"]) == fields - {"session_id", "agent_may_be_new"}


def test_each_command_is_told_in_a_word() -> None:
    told = body()["properties"]["command"]["description"]
    assert all(f"{command}: " in told for command in OFFERED)


@pytest.mark.anyio
async def test_it_is_served_to_everybody_with_the_address_that_was_asked(mesh: Mesh) -> None:
    answer = await mesh.http.get("/openapi-actions.json")
    assert answer.status_code == 200
    assert answer.json()["servers"] == [{"url": "http://localhost"}]
    assert "rpm_" not in answer.text
    refused = await mesh.http.post("/openapi-actions.json")
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.anyio
async def test_the_document_is_made_once_and_names_the_address_that_was_asked(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(version: str, url: str) -> dict[str, Any]:
        made.append(url)
        return actions_document(version, url)

    monkeypatch.setattr("repomesh.surfaces.inbound.openapi_actions.actions_document", counted)
    for host in ("localhost:1", "localhost:2"):
        answer = await mesh.http.get("/openapi-actions.json", headers={"Host": host})
        assert answer.json()["servers"] == [{"url": f"http://{host}"}]
    assert len(made) == 1
