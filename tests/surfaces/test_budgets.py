"""Every operation with a budget keeps it, and every list with one goes on to its end."""

from __future__ import annotations

from typing import Any

import pytest

from examples import EXAMPLES, LATER_PROMPTS, Payload, World
from harness import Mesh, Speaker
from repomesh.kernel.fields import Page
from repomesh.kernel.limits import MAX_CHARS_MAX
from repomesh.kernel.operation import Kind, Operation
from repomesh.operations import registry

pytestmark = pytest.mark.anyio

BUDGETED = [
    op
    for op in registry
    if op.http is not None and op.kind is not Kind.SUBSCRIPTION and "max_chars" in op.request.model_fields
]
LISTS = [op for op in BUDGETED if issubclass(op.result, Page) and "cursor" in op.request.model_fields]
BUDGETS = (2_500, 4_000, 12_000)
LONG_FIELDS = ("body", "description", "content", "rationale")
FILLER = 'A "long"\n\U00020000 text. ' * 150


class LongWinded(Speaker):
    """A speaker that says everything at length."""

    async def post(self, path: str, /, headers: dict[str, str] | None = None, **body: Any) -> Any:
        long = {name: body[name] + FILLER for name in LONG_FIELDS if isinstance(body.get(name), str)}
        return await super().post(path, headers, **body | long)


@pytest.fixture
async def world(mesh: Mesh) -> World:
    made = await World.of(mesh)
    made.alice, made.bob = LongWinded(**vars(made.alice)), LongWinded(**vars(made.bob))
    for _ in range(4):
        await made.alice.post("/v1/messages", to=["bob", "alice"], subject="Hello", body="The parser")
        await made.bob.post("/v1/messages", to=["alice"], subject="Hello", body="The parser")
        await made.alice.post("/v1/events", type="plan.updated", data={"text": FILLER})
        await made.task(description="The parser")
        await made.alice.post("/v1/memories", key=made.word("key"), content="The port", type="decision")
    return made


def speaker(world: World, operation: Operation) -> Speaker:
    """Somebody who may call it."""
    return world.mesh if operation.scope.endswith(":admin") else world.alice


async def asked(caller: Speaker, operation: Operation, payload: Payload) -> Any:
    """The response to a request, whatever it is."""
    assert operation.http is not None
    rest = {name: value for name, value in payload.items() if name not in operation.http.path_fields}
    how = {"json": rest} if operation.http.has_body else {"params": rest}
    return await caller.request(operation.http.method, operation.http.path.format(**payload), **how)


async def answered(caller: Speaker, operation: Operation, payload: Payload) -> tuple[str, Any]:
    """The text of an answer, and what it says."""
    response = await asked(caller, operation, payload)
    assert response.status_code < 300, response.text
    return response.text, response.json()


def bounds(operation: Operation) -> tuple[int, int]:
    """The smallest budget that an operation takes, and the largest."""
    schema = operation.request.model_json_schema()["properties"]["max_chars"]
    figures = next(choice for choice in schema.get("anyOf", [schema]) if choice.get("type") == "integer")
    return figures["minimum"], figures["maximum"]


@pytest.mark.parametrize("operation", BUDGETED, ids=lambda operation: operation.name)
async def test_every_answer_keeps_its_budget(world: World, operation: Operation) -> None:
    least, most = bounds(operation)
    example = EXAMPLES[operation.name]
    for budget in (least, *(budget for budget in BUDGETS if least < budget <= most)):
        payload = await example(world)
        text, answer = await answered(speaker(world, operation), operation, payload | {"max_chars": budget})
        if example.budget_of is None:
            assert len(text) <= budget, (budget, text)
        elif example.budget_of != LATER_PROMPTS:
            assert len(answer[example.budget_of]) <= budget


@pytest.mark.parametrize("operation", BUDGETED, ids=lambda operation: operation.name)
async def test_a_budget_that_is_too_small_is_refused(world: World, operation: Operation) -> None:
    payload = await EXAMPLES[operation.name](world)
    too_small = payload | {"max_chars": bounds(operation)[0] - 1}
    response = await asked(speaker(world, operation), operation, too_small)
    assert response.status_code == 422
    assert [wrong["field"] for wrong in response.json()["errors"]] == ["max_chars"]


async def test_a_content_is_read_whole_in_the_smallest_parts(world: World) -> None:
    for name in ("chunk.read", "artifact.read"):
        operation = registry[name]
        payload = await EXAMPLES[name](world)
        _, whole = await answered(world.alice, operation, payload | {"max_chars": MAX_CHARS_MAX, "offset": 0})
        parts, offset = [], 0
        while offset is not None:
            part = {"max_chars": bounds(operation)[0], "offset": offset}
            _, read = await answered(world.alice, operation, payload | part)
            parts.append(read["content"])
            offset = read["next_offset"]
        assert len(parts) > 1
        assert "".join(parts) == whole["content"]


async def test_an_agent_gets_its_token_whatever_its_budget(world: World) -> None:
    operation = registry["agent.register"]
    payload = await EXAMPLES[operation.name](world)
    _, joined = await answered(world.mesh, operation, payload | {"max_chars": bounds(operation)[0]})
    assert joined["token"]


async def test_a_claim_is_replayed_whole_to_a_larger_budget(world: World) -> None:
    task = await world.task(description="The parser")
    operation = registry["task.claim"]
    assert operation.http is not None
    path, key = operation.http.path.format(task_id=task["id"]), {"Idempotency-Key": "once"}
    short = await world.alice.post(path, key, max_chars=bounds(operation)[0])
    whole = await world.alice.post(path, key)
    assert short["omitted"]
    assert len(short["task"]["description"]) < len(whole["task"]["description"])
    assert whole["task"]["description"] == task["description"]
    assert whole["omitted"] is None


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
async def test_every_list_goes_on_to_its_end_within_the_least_budget(
    world: World, operation: Operation
) -> None:
    payload = await EXAMPLES[operation.name](world)
    cursors: list[str | None] = [""]
    least = bounds(operation)[0]
    while cursors[-1] is not None:
        further = {"cursor": cursors[-1]} if cursors[-1] else {}
        text, page = await answered(
            speaker(world, operation), operation, payload | {"max_chars": least, "limit": 2} | further
        )
        assert len(text) <= least, text
        if page["omitted"] and not page["items"]:
            assert "longer than max_chars: " in page["omitted"]
        assert page["next_cursor"] not in cursors
        cursors.append(page["next_cursor"])
