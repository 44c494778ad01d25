"""Who may call what: every operation, every kind of caller, over HTTP and MCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from examples import EXAMPLES, PEOPLE_ONLY, Payload, World
from harness import Mesh, Speaker
from repomesh.kernel.operation import Kind, Operation
from repomesh.operations import registry

pytestmark = pytest.mark.anyio

OFFERED = [op for op in registry if op.http is not None and op.kind is not Kind.SUBSCRIPTION]

# What another agent is told where the example belongs to alice; everything else it may do, too.
FOREIGN: dict[str, set[int]] = {
    "agent.register": {200},  # it registers itself
    "agent.heartbeat": {403},
    "agent.leave": {403},
    "agent.rename": {403},
    "channel.archive": {403},
    "channel.messages": {403},
    "message.read": {403},
    "message.ack": {403},
    "question.show": {404},
    "question.answer": {403},
    "question.withdraw": {404},
    "review.decide": {403},
    "review.revise": {403},
    "review.withdraw": {403},
    "lock.renew": {409},
    "lock.release": {409},
    "task.renew": {409},
    "task.progress": {409},
    "task.complete": {409},
    "task.fail": {409},
    "task.release": {409},
    "task.finish": {409},
    "session.delete": {403},
    "meeting.leave": {403},
    "meeting.start": {403},
    "meeting.cancel": {403},
    "meeting.speak": {403},
    "meeting.vote": {403},
    "meeting.request": {403},
    **{name: {403} for name in PEOPLE_ONLY},
}


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
        payload = await EXAMPLES[operation.name](callers.world)
        speaker = callers.world.alice
        if operation.name == "agent.leave":
            continue  # it speaks for itself only, which the next test shows from the other side
        status, answer = await call(speaker, operation, payload)
        if operation.scope.endswith(":admin"):
            assert (status, answer["code"]) == (403, "forbidden"), operation.name
        elif operation.name in PEOPLE_ONLY:
            assert (status, answer["code"]) == (403, "only_people"), operation.name
        else:
            assert status < 300, (operation.name, answer)


async def test_another_agent_can_not_act_on_what_is_not_its_own(callers: Callers) -> None:
    for operation in OFFERED:
        if operation.scope.endswith(":admin"):
            continue
        payload = await EXAMPLES[operation.name](callers.world)
        if operation.name == "agent.register":
            payload = {}
        status, answer = await call(callers.world.bob, operation, payload)
        assert status in FOREIGN.get(operation.name, {200, 201}), (operation.name, status, answer)


async def test_the_owner_may_everything_but_speak_without_an_agent(callers: Callers) -> None:
    for operation in OFFERED:
        payload = await EXAMPLES[operation.name](callers.world)
        if operation.name == "agent.register":
            payload = {"name": callers.world.word("new")}
        status, answer = await call(callers.world.mesh, operation, payload)
        if operation.needs_agent:
            assert (status, answer["code"]) == (422, "agent_required"), operation.name
        else:
            assert status < 300, (operation.name, answer)
