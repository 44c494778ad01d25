"""Waiting as a task of the protocol: it outlives the call, the client and the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from clocks import MovableClock
from harness import Mesh, Speaker
from live import LiveMesh
from proxy.pipes import proxy
from repomesh.app import Server
from repomesh.domains.messaging.waits.tables import waits
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.kernel.settings import Settings
from tooling import Session, ask, line

pytestmark = pytest.mark.anyio

TASKS = {
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}


async def wait(speaker: Speaker, meta: Any = TASKS, **arguments: Any) -> Any:
    """What a call of wait_for_messages answers."""
    answer = await ask(speaker, "tools/call", meta=meta, name="wait_for_messages", arguments=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def about(
    speaker: Speaker, method: str, task_id: str, meta: Any = TASKS, header: str | None = None, **params: Any
) -> Any:
    """A request about a task: its result, or its error."""
    headers = {"Mcp-Name": task_id if header is None else header}
    answer = await ask(speaker, f"tasks/{method}", headers=headers, meta=meta, taskId=task_id, **params)
    body = answer.json()
    return body["result"] if "result" in body else body["error"]


def kept(mesh: Mesh) -> int:
    """How many waits are in the store."""
    counted = select(func.count()).select_from(waits)
    return int(mesh.server.store.read_now(system_caller(""), lambda tx: tx.execute(counted).scalar_one()))


def bodies(task: Any) -> list[str]:
    """What the messages say with which a task ended."""
    return [item["body"] for item in json.loads(task["result"]["content"][0]["text"])["items"]]


async def test_a_wait_becomes_a_task_that_ends_with_the_message(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    begun = await wait(bob)
    assert (begun["resultType"], begun["status"]) == ("task", "working")
    assert begun["pollIntervalMs"] >= 10_000
    assert begun["ttlMs"] == (limits.WAIT_KEPT_S + limits.WAIT_RESULT_KEPT_S) * 1_000
    assert (await about(bob, "get", begun["taskId"]))["status"] == "working"
    sent = await alice.post("/v1/messages", to=["bob"], body="there you are")
    done = await about(bob, "get", begun["taskId"])
    assert (done["resultType"], done["status"], bodies(done)) == ("complete", "completed", ["there you are"])
    await bob.post(f"/v1/messages/{sent['id']}/ack")
    await alice.post("/v1/messages", to=["bob"], body="and another")
    assert bodies(await about(bob, "get", begun["taskId"])) == ["there you are"], "it says the same for ever"
    await mesh.server.dispatch.close()
    receipt = (await alice.get(f"/v1/messages/{sent['id']}/receipts"))["items"][0]
    assert receipt["offered_at"] is not None


async def test_what_is_unread_already_is_answered_at_once(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/messages", to=["bob"], body="early")
    assert "early" in (await wait(bob))["content"][0]["text"]
    assert (await wait(alice, timeout_s=0))["resultType"] == "complete"
    assert (await wait(alice, colour="red"))["isError"]


async def test_a_wait_of_a_client_without_tasks_is_a_call(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    assert (await wait(bob, meta=None, timeout_s=0.05))["resultType"] == "complete"
    refused = await about(bob, "get", "01a1f8e6-6a98-71a1-9650-0e36ddd4e2c0", meta=None)
    assert refused["code"] == -32021
    assert "io.modelcontextprotocol/tasks" in refused["data"]["requiredCapabilities"]["extensions"]


async def test_the_older_handshake_knows_no_tasks(live: LiveMesh) -> None:
    session = await Session.open(await live.agent("bob"))
    answer = await session.ask("tasks/get", taskId="01a1f8e6-6a98-71a1-9650-0e36ddd4e2c0")
    assert "-32601" in answer.text


async def test_the_wait_is_over_when_its_time_has_passed(mesh: Mesh, clock: MovableClock) -> None:
    bob = await mesh.agent("bob")
    begun = await wait(bob, timeout_s=20.0)
    assert (begun["resultType"], kept(mesh)) == ("task", 1)
    clock.advance(21)
    done = await about(bob, "get", begun["taskId"])
    assert (done["status"], bodies(done)) == ("completed", [])
    clock.advance(limits.WAIT_RESULT_KEPT_S)
    assert (await about(bob, "get", begun["taskId"]))["code"] == -32602
    await mesh.sweep()
    assert kept(mesh) == 0


async def test_a_cancelled_wait_stays_cancelled(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    begun, other = await wait(bob), await wait(bob)
    assert (await about(bob, "cancel", begun["taskId"])).keys() == {"resultType", "_meta"}
    await alice.post("/v1/messages", to=["bob"], body="too late")
    assert (await about(bob, "get", begun["taskId"]))["status"] == "cancelled"
    assert (await about(bob, "get", other["taskId"]))["status"] == "completed"
    assert (await about(bob, "cancel", other["taskId"]))["resultType"] == "complete"
    assert (await about(bob, "get", other["taskId"]))["status"] == "completed"


async def test_only_its_owner_sees_a_wait(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task_id = (await wait(bob))["taskId"]
    for method in ("get", "update", "cancel"):
        for speaker, named in ((alice, task_id), (bob, "01a1f8e6-6a98-71a1-9650-0e36ddd4e2c0"), (bob, "x")):
            refused = await about(speaker, method, named)
            assert (refused["code"], "not found" in refused["message"]) == (-32602, True)
    assert (await about(mesh, "get", task_id))["code"] == -32602
    assert (await about(bob, "get", task_id))["status"] == "working"
    assert (await about(bob, "update", task_id, inputResponses={"x": {}}))["resultType"] == "complete"


async def test_the_header_must_name_the_task(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    task_id = (await wait(bob))["taskId"]
    for method in ("get", "update", "cancel"):
        assert (await about(bob, method, task_id, header="another"))["code"] == -32020
    assert (await about(bob, "get", task_id))["status"] == "working"


async def test_of_too_many_waits_the_oldest_are_given_up(mesh: Mesh, clock: MovableClock) -> None:
    bob = await mesh.agent("bob")
    begun = []
    for _ in range(limits.WAITS_PER_AGENT_MAX + 1):
        clock.advance(1)
        begun.append((await wait(bob))["taskId"])
    states = [(await about(bob, "get", task_id))["status"] for task_id in begun]
    assert states == ["cancelled", *["working"] * limits.WAITS_PER_AGENT_MAX]


async def test_a_wait_outlives_the_server(mesh: Mesh, settings: Settings, clock: MovableClock) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task_id = (await wait(bob))["taskId"]
    given_up = (await wait(bob))["taskId"]
    await about(bob, "cancel", given_up)
    again = Server(settings, clock)
    try:
        async with again.running():
            bob.http._transport = type(bob.http._transport)(again.asgi)
            assert (await about(bob, "get", task_id))["status"] == "working"
            await alice.post("/v1/messages", to=["bob"], body="after the restart")
            assert bodies(await about(bob, "get", task_id)) == ["after the restart"]
            assert (await about(bob, "get", given_up))["status"] == "cancelled"
    finally:
        again.store.close()


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_it_goes_through_the_proxy(live: LiveMesh) -> None:
    assert live.token is not None
    alice = await live.agent("alice")
    async with proxy(live.url, live.token, "bob") as pipes:

        async def through(method: str, **params: Any) -> Any:
            pipes.send(line(method, id_=method, meta=TASKS, **params))
            return (await pipes.answer(method))["result"]

        begun = await through("tools/call", name="wait_for_messages", arguments={})
        assert begun["resultType"] == "task"
        assert (await through("tasks/get", taskId=begun["taskId"]))["status"] == "working"
        await alice.post("/v1/messages", to=["bob"], body="hello")
        assert bodies(await through("tasks/get", taskId=begun["taskId"])) == ["hello"]
        assert (await through("tasks/cancel", taskId=begun["taskId"]))["resultType"] == "complete"
