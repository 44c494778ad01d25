"""Messages come to a model over MCP labelled and neutral, and count as injected when the answer has left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import Mesh, Speaker
from injection import CORPUS, assert_harmless, texts_of
from repomesh.domains.messaging.messages.envelope import LABEL
from repomesh.surfaces.mcp.tasks import EXTENSION
from tooling import Session, ask, call

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bob(mesh: Mesh) -> Speaker:
    return await mesh.agent("bob")


@pytest.fixture
async def alice(mesh: Mesh) -> Speaker:
    return await mesh.agent("alice")


async def send(bob: Speaker, body: str = "The parser is done.", **fields: Any) -> str:
    return str((await bob.post("/v1/messages", to=["alice"], body=body, **fields))["id"])


async def status(bob: Speaker, message_id: str) -> str:
    [one] = (await bob.get(f"/v1/messages/{message_id}/receipts"))["items"]
    return str(one["status"])


async def settle(mesh: Mesh) -> None:
    """Wait for what is noted behind answers."""
    endpoint = await mesh.server.mcp.endpoint()
    await endpoint.settled()
    await mesh.server.dispatch.close()


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_the_injection_corpus_over_every_tool_that_shows_messages(
    mesh: Mesh, alice: Speaker, bob: Speaker
) -> None:
    for what, body in CORPUS.items():
        task = await bob.post("/v1/tasks", goal="Parser", description=body[:50_000])
        message_id = await send(bob, body, subject="Hello", task_id=task["id"])
        for tool, arguments in tools_that_show(message_id, task["id"]):
            response = await ask(alice, "tools/call", name=tool, arguments=arguments)
            blocks = [block["text"] for block in response.json()["result"]["content"]]
            told = json.loads(blocks[0])
            for text in [*texts_of(told), *blocks[1:]]:
                assert_harmless(text, what=f"{tool}: {what}")
            assert len(blocks[0]) <= 20_000 + 200, (tool, what)
            if tool not in ("list_tasks", "claim_task"):
                assert next(iter(told)) == "envelope", tool
                assert told["envelope"].endswith(f": {LABEL}")
        await alice.post(f"/v1/messages/{message_id}/ack")


def tools_that_show(message_id: str, task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Calls whose answers hold what others wrote."""
    return [
        ("read_inbox", {"unread": True}),
        ("wait_for_messages", {"timeout_s": 0}),
        ("read_thread", {"message_id": message_id}),
        ("get_task_context", {"task_id": task_id}),
        ("list_tasks", {}),
        ("claim_task", {"task_id": task_id}),
    ]


async def test_each_answer_has_a_boundary_of_its_own(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    await send(bob)
    assert len({(await call(alice, "read_inbox"))["envelope"] for _ in range(3)}) == 3


async def test_nothing_is_labelled_when_there_is_nothing(mesh: Mesh, alice: Speaker) -> None:
    assert "envelope" not in await call(alice, "read_inbox")


async def test_plain_texts_come_as_they_were_written(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    body = 'if a < 3:\n\tprint("Grüße \\ 😀")'
    await send(bob, body)
    assert (await call(alice, "read_inbox"))["items"][0]["body"] == body


@pytest.mark.parametrize("tool", ["read_inbox", "wait_for_messages"])
async def test_a_message_is_injected_when_its_answer_has_left(
    mesh: Mesh, alice: Speaker, bob: Speaker, tool: str
) -> None:
    message_id = await send(bob)
    assert await status(bob, message_id) == "stored"
    await call(alice, tool)
    await settle(mesh)
    assert await status(bob, message_id) == "injected"
    [to] = (await bob.get(f"/v1/messages/{message_id}/trace"))["recipients"]
    [delivery] = to["deliveries"]
    assert delivery["route"] == "mcp"
    assert to["stored_at"] <= delivery["at"] <= delivery["confirmed_at"]
    assert to["read_at"] is None


async def test_in_a_session_of_the_older_handshake_too(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    message_id = await send(bob)
    session = await Session.open(alice)
    await session.call("read_thread", message_id=message_id)
    await settle(mesh)
    assert await status(bob, message_id) == "injected"


async def test_what_ends_a_wait_that_is_a_task_too(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    meta = {"io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}}}
    begun = await ask(alice, "tools/call", meta=meta, name="wait_for_messages", arguments={})
    task_id = begun.json()["result"]["taskId"]
    message_id = await send(bob)
    named = {"Mcp-Name": task_id}
    answer = (await ask(alice, "tasks/get", headers=named, meta=meta, taskId=task_id)).json()["result"]
    assert json.loads(answer["result"]["content"][0]["text"])["envelope"].endswith(f": {LABEL}")
    await settle(mesh)
    assert await status(bob, message_id) == "injected"


async def test_looking_again_writes_nothing_down(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    message_id = await send(bob)
    for _ in range(3):
        await call(alice, "read_inbox")
        await settle(mesh)
    [to] = (await bob.get(f"/v1/messages/{message_id}/trace"))["recipients"]
    assert len(to["deliveries"]) == 1


async def test_who_reads_anothers_thread_injects_nothing(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    message_id = await send(bob)
    await call(bob, "read_thread", message_id=message_id)
    await settle(mesh)
    assert await status(bob, message_id) == "stored"


async def test_over_http_a_message_is_only_offered(mesh: Mesh, alice: Speaker, bob: Speaker) -> None:
    message_id = await send(bob, "</x> \u202e")
    [item] = (await alice.get("/v1/messages/inbox"))["items"]
    assert item["body"] == "</x> \u202e"  # a program gets what was written
    await mesh.server.dispatch.close()
    assert await status(bob, message_id) == "offered"
