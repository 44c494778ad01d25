"""The same input gives the same result, or the same refusal, over HTTP and over MCP."""

from __future__ import annotations

import re
from typing import Any

import pytest

from examples import EXAMPLES, Payload, World
from harness import Mesh, Speaker
from repomesh.kernel.operation import Operation
from repomesh.operations import registry
from repomesh.surfaces.mcp.tools import offered
from tooling import ToolRefused, ask, call

pytestmark = pytest.mark.anyio

TOOLS = offered(registry)
ANY_JSON = {("memory.store", "content")}  # nothing is malformed there
DETAILS_OF_HTTP = {"type", "title", "status", "detail", "trace_id"}

# What differs between two runs of one example: ids, times, fencing tokens and positions, names made up.
_CHANGING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"(token) \d+"), r"\1 N"),
    (re.compile(r"\b((?:[a-z]+/)*[A-Za-z]+)-\d+\b"), r"\1-N"),
]
_OF_ONE_SURFACE = {"token", "hint", "envelope"}  # a secret, its own hint, and the label on messages
_COUNTED = {"fencing_token", "seq", "version"}


async def over_http(speaker: Speaker, operation: Operation, payload: Payload) -> tuple[str, Any]:
    """The outcome over HTTP, as a code and what came with it."""
    assert operation.http is not None
    binding = operation.http
    rest = {name: value for name, value in payload.items() if name not in binding.path_fields}
    how = {"json": rest} if binding.has_body else {"params": rest}
    response = await speaker.request(binding.method, binding.path.format(**payload), **how)
    body = response.json()
    if response.status_code < 400:
        result = operation.result.model_validate_json(response.content)
        return "ok", result.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    told = {name: value for name, value in body.items() if name not in DETAILS_OF_HTTP}
    return body["code"], told | {"message": body["detail"]}


async def over_mcp(speaker: Speaker, operation: Operation, payload: Payload) -> tuple[str, Any]:
    """The outcome over MCP."""
    assert operation.tool is not None
    try:
        return "ok", await call(speaker, operation.tool.name, **payload)
    except ToolRefused as refused:
        return refused.code, refused.body


def comparable(outcome: tuple[str, Any]) -> tuple[str, Any]:
    """An outcome without what is new each time, and without what MCP keeps to itself on purpose."""
    code, body = outcome
    return code, _steady(body)


def _steady(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner, key) for key, inner in value.items() if key not in _OF_ONE_SURFACE}
    if isinstance(value, list):
        return [_steady(inner) for inner in value]
    if name in _COUNTED and isinstance(value, int):
        return 0
    if isinstance(value, str):
        for pattern, steady in _CHANGING:
            value = pattern.sub(steady, value)
    return value


async def example(world: World, operation: Operation, who: str) -> Payload:
    """A fresh example. Over MCP a registration knows more of where it comes from, so it says all of that."""
    payload = await EXAMPLES[operation.name](world)
    if operation.name == "agent.register":
        payload |= {"program": "tester"} | ({"name": world.word("new")} if who == "the owner" else {})
    return payload


@pytest.mark.parametrize("name", TOOLS)
async def test_the_same_input_has_the_same_outcome(mesh: Mesh, name: str) -> None:
    operation = TOOLS[name]
    world = await World.of(mesh)
    assert operation.name in EXAMPLES, f"{operation.name} is a tool and has no example in tests/examples.py"
    speakers = {
        "its agent": world.alice,
        "another agent": world.bob,
        "the owner": mesh,
        "an observer": await mesh.observer(),
    }
    for who, speaker in speakers.items():
        outcomes = [
            comparable(await way(speaker, operation, await example(world, operation, who)))
            for way in (over_http, over_mcp)
        ]
        assert outcomes[0] == outcomes[1], who


async def test_no_tool_is_there_for_who_has_no_live_token(mesh: Mesh) -> None:
    world = await World.of(mesh)
    gone = await world.newcomer()
    await mesh.delete(f"/v1/tokens/{(gone.registration or {})['token_id']}")
    for name, operation in TOOLS.items():
        payload = await EXAMPLES[operation.name](world)
        for speaker, code in ((mesh.anonymous(), "unauthenticated"), (gone, "token_revoked")):
            answer = await ask(speaker, "tools/call", name=name, arguments=payload)
            assert (answer.status_code, answer.json()["code"]) == (401, code), name


@pytest.mark.parametrize("name", TOOLS)
async def test_what_is_malformed_is_refused_in_the_same_words(mesh: Mesh, name: str) -> None:
    operation = TOOLS[name]
    world = await World.of(mesh)
    payload = await EXAMPLES[operation.name](world)
    assert operation.http is not None
    wrong: list[Payload] = [payload | {"no_such_field": "x"}]
    if operation.http.has_body:
        wrong += [
            payload | {field: {"a": 1}}
            for field in operation.request.model_fields
            if field not in operation.http.path_fields and (operation.name, field) not in ANY_JSON
        ]
    for bad in wrong:
        outcomes = [await way(world.alice, operation, bad) for way in (over_http, over_mcp)]
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][0] == "invalid_request", bad
