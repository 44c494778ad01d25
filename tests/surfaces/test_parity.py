"""The same input gives the same result, or the same refusal, whichever way it comes in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

import contract
from examples import EXAMPLES, Payload, World
from harness import Speaker
from live import LiveMesh, live
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.operation import Kind, Operation
from repomesh.operations import registry
from repomesh.surfaces.inbound.commands import OPERATIONS as COMMANDS
from repomesh.surfaces.mcp.tools import tools_by_name
from surfaces.ways import Outcome, Way, by_name, comparable, done, over_http, over_webhook, ways
from tooling import ask

pytestmark = pytest.mark.anyio

__all__ = ["live"]

TOOLS = tools_by_name(registry)
OFFERED = [op.name for op in registry if op.http is not None and op.kind is not Kind.SUBSCRIPTION]
AREAS = sorted({name.partition(".")[0] for name in OFFERED})
"""One server for all operations of an area: to start one takes as long as to compare an operation."""
TYPING = {"its agent", "an observer"}  # at the prompt a token is a token, and each command costs a process


@pytest.fixture
async def mesh(live: LiveMesh) -> LiveMesh:
    """A mesh behind a socket, each answer of which is held against the OpenAPI document."""
    live.http.event_hooks["response"].append(contract.check)
    return live


def of(area: str) -> list[Operation]:
    """The operations of an area."""
    return [registry[name] for name in OFFERED if name.partition(".")[0] == area]


async def apart(mesh: LiveMesh, name: str) -> LiveMesh:
    """The mesh for the owner of a workspace in which nothing has happened yet."""
    made = await mesh.post("/v1/workspaces", name=name)
    return LiveMesh(mesh.server, mesh.http, made["token"], mesh.clock, mesh.web)


def others(outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """The outcomes that are not that of HTTP."""
    first = comparable(outcomes["HTTP"])
    return {way: outcome for way, outcome in outcomes.items() if comparable(outcome) != first}


@pytest.mark.parametrize("area", AREAS)
async def test_the_same_input_has_the_same_outcome(mesh: LiveMesh, area: str) -> None:
    home = await World.of(mesh)
    differing = {}
    for operation in of(area):
        # Only the owner of the home workspace may look after workspaces.
        world = home if area == "workspace" else await World.of(await apart(mesh, operation.name))
        speakers = {
            "its agent": world.alice,
            "another agent": world.bob,
            "the owner": world.mesh,
            "an observer": await world.mesh.observer(),
        }
        for who, speaker in speakers.items():
            outcomes = {
                name: await way(speaker, operation, await EXAMPLES[operation.name](world, speaker))
                for name, way in ways(operation).items()
                if name != "the prompt" or who in TYPING
            }
            if others(outcomes):
                differing[operation.name, who] = outcomes
    assert differing == {}


async def test_memories_are_searched_by_their_command_as_by_the_search(mesh: LiveMesh) -> None:
    """`query_memories` with a text is a search, the one command that stands for two operations."""
    world = await World.of(mesh)
    made = await world.session()
    await world.alice.post("/v1/memories", key="port", content="It is 8787.", session_id=made["session_id"])
    search = registry["search.find"]
    wanted = await over_http(world.alice, search, made | {"text": "8787", "what": ["memory"]})
    body = {"type": "collaborative_session_command", "command": "query_memories", "data": {"text": "8787"}}
    key = {"X-API-Key": world.alice.token or ""}
    answer = await mesh.http.post("/v1/webhook", json=body | made, headers=key)
    assert comparable(done(search, json.dumps(answer.json()["data"]))) == comparable(wanted)
    assert wanted[1]["items"]


async def test_no_way_is_open_to_who_has_no_live_token(mesh: LiveMesh) -> None:
    world = await World.of(mesh)
    gone = await world.newcomer()
    await mesh.delete(f"/v1/tokens/{(gone.registration or {})['token_id']}")
    for speaker, code in ((mesh.anonymous(), "unauthenticated"), (gone, "token_revoked")):
        for name, operation in TOOLS.items():
            payload = await EXAMPLES[operation.name](world)
            answer = await ask(speaker, "tools/call", name=name, arguments=payload)
            assert (answer.status_code, answer.json()["code"]) == (401, code), name
        for name in COMMANDS.values():
            payload = await EXAMPLES[name](world)
            assert (await over_webhook(speaker, registry[name], payload))[0] == code, name
    assert (await by_name(gone, registry["agent.list"], {}))[0] == "token_revoked"


@pytest.mark.parametrize("area", AREAS)
async def test_what_is_malformed_is_refused_in_the_same_words(mesh: LiveMesh, area: str) -> None:
    world = await World.of(mesh)
    for operation in of(area):
        payload = await EXAMPLES[operation.name](world)
        speaker = mesh if operation.scope.endswith(":admin") else world.alice
        unknown = payload | {"no_such_field": "x"}
        await _refused_alike(speaker, operation, unknown, ways(operation) | {"the prompt": by_name})
        quick = {way: to for way, to in ways(operation).items() if way != "the prompt"}
        for bad in _malformed(operation, payload):
            await _refused_alike(speaker, operation, bad, quick)


def _malformed(operation: Operation, payload: Payload) -> Iterator[Payload]:
    """The payload with each field of the body wrong in turn, but for those in which nothing is."""
    assert operation.http is not None
    for field in operation.request.model_fields if operation.http.has_body else ():
        if field in operation.http.path_fields:
            continue
        for value in ({"a": 1}, 7):
            bad = payload | {field: value}
            try:
                operation.parse(json.dumps(bad).encode())
            except InvalidRequest:
                yield bad
                break


async def _refused_alike(
    speaker: Speaker, operation: Operation, bad: Payload, asked: Mapping[str, Way]
) -> None:
    outcomes = {name: await way(speaker, operation, bad) for name, way in asked.items()}
    assert outcomes["HTTP"][0] == "invalid_request", (operation.name, bad)
    assert others(outcomes) == {}, (operation.name, bad)
