"""Who may call what: every operation, every kind of caller, over HTTP and MCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from examples import EXAMPLES, Payload, World
from harness import Mesh, Speaker
from repomesh.kernel.operation import Kind, Operation
from repomesh.operations import registry

pytestmark = pytest.mark.anyio

OFFERED = [op for op in registry if op.http is not None and op.kind is not Kind.SUBSCRIPTION]


@dataclass
class Callers:
    """One speaker of each kind."""

    world: World
    observer: Speaker
    revoked: Speaker

    @classmethod
    async def of(cls, mesh: Mesh) -> Callers:
        world = await World.of(mesh)
        revoked = await mesh.post("/v1/tokens", role="observer")
        await mesh.delete(f"/v1/tokens/{revoked['token_id']}")
        return cls(world, await mesh.observer(), Speaker(mesh.http, revoked["token"]))


@pytest.fixture
async def callers(mesh: Mesh) -> AsyncIterator[Callers]:
    return await Callers.of(mesh)


async def call(speaker: Speaker, operation: Operation, payload: Payload) -> tuple[int, Any]:
    """Status and answer of an operation over HTTP."""
    assert operation.http is not None
    rest = {name: value for name, value in payload.items() if name not in operation.http.path_fields}
    path = operation.http.path.format(**payload)
    how = {"json": rest} if operation.http.has_body else {"params": rest}
    response = await speaker.request(operation.http.method, path, **how)
    return response.status_code, response.json()


def test_every_operation_has_an_example() -> None:
    assert {operation.name for operation in OFFERED} == set(EXAMPLES)


async def test_nobody_comes_in_without_a_live_token(callers: Callers) -> None:
    for operation in OFFERED:
        payload = await EXAMPLES[operation.name](callers.world)
        for speaker in (callers.world.mesh.anonymous(), callers.revoked):
            status, problem = await call(speaker, operation, payload)
            assert status == 401, (operation.name, problem)


async def test_an_observer_only_reads(callers: Callers) -> None:
    for operation in OFFERED:
        payload = await EXAMPLES[operation.name](callers.world)
        status, answer = await call(callers.observer, operation, payload)
        if not operation.scope.endswith(":read"):
            assert (status, answer["code"]) == (403, "forbidden"), operation.name
        elif operation.needs_agent:
            assert (status, answer["code"]) == (422, "agent_required"), operation.name
        else:
            assert status in (200, 404), (operation.name, answer)


async def test_an_agent_reads_and_writes_but_does_not_administer(callers: Callers) -> None:
    for operation in OFFERED:
        example = EXAMPLES[operation.name]
        if example.self_only:
            continue  # the next test shows it from the other side
        payload = await example(callers.world)
        speaker = callers.world.alice
        status, answer = await call(speaker, operation, payload)
        if operation.scope.endswith(":admin"):
            assert (status, answer["code"]) == (403, "forbidden"), operation.name
        elif example.people_only:
            assert (status, answer["code"]) == (403, "only_people"), operation.name
        else:
            assert status < 300, (operation.name, answer)


async def test_another_agent_can_not_act_on_what_is_not_its_own(callers: Callers) -> None:
    for operation in OFFERED:
        if operation.scope.endswith(":admin"):
            continue
        example = EXAMPLES[operation.name]
        payload = await example(callers.world, callers.world.bob)
        status, answer = await call(callers.world.bob, operation, payload)
        expected = {200, 201} if example.foreign is None else {example.foreign}
        assert status in expected, (operation.name, status, answer)


async def test_the_owner_may_everything_but_speak_without_an_agent(callers: Callers) -> None:
    for operation in OFFERED:
        payload = await EXAMPLES[operation.name](callers.world, callers.world.mesh)
        status, answer = await call(callers.world.mesh, operation, payload)
        if operation.needs_agent:
            assert (status, answer["code"]) == (422, "agent_required"), operation.name
        else:
            assert status < 300, (operation.name, answer)
