"""The path of a message can be followed, and says why it ended where it did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from hooking import Cli
from repomesh.views.message_path import path_lines
from repomesh.views.terminal_text import TextStyle
from tooling import call

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bob(mesh: Mesh) -> Speaker:
    return await mesh.agent("bob")


async def send(bob: Speaker, *to: str, **fields: Any) -> str:
    return str((await bob.post("/v1/messages", to=list(to), subject="Parser", body="Done?", **fields))["id"])


async def trace(speaker: Speaker, message_id: str) -> Any:
    return await speaker.get(f"/v1/messages/{message_id}/trace")


async def test_each_step_stands_in_the_trace_in_its_order(mesh: Mesh, bob: Speaker) -> None:
    cli = Cli(mesh, "gemini")
    await cli.hook("start")
    agent = await cli.agent()
    message_id = await send(bob, agent)
    await cli.hook("after")
    await cli.hook("prompt", prompt="Go on.")
    await mesh.post(f"/v1/messages/{message_id}/ack", headers={"X-Repomesh-Agent": agent})
    traced = await trace(bob, message_id)
    [to] = traced["recipients"]
    [delivery] = to["deliveries"]
    assert (delivery["route"], delivery["cli"], delivery["session_id"]) == ("after_tool", "gemini", "s1")
    times = [to["stored_at"], to["offered_at"], delivery["sent_at"], delivery["confirmed_at"]]
    times += [to["injected_at"], to["read_at"], to["acked_at"]]
    assert times == sorted(times)
    assert (to["status"], to["reason"]) == ("acked", "")


async def test_the_reason_says_what_stands_in_the_way(mesh: Mesh, bob: Speaker) -> None:
    await mesh.agent("carol")
    cli = Cli(mesh)
    await cli.hook("start")
    gone = await mesh.agent("dave")
    await gone.post(f"/v1/agents/{gone.id}/leave")
    message_id = await send(bob, "carol", await cli.agent(), "dave")

    async def reasons() -> dict[str, str]:
        found = (await trace(bob, message_id))["recipients"]
        return {to["agent_name"]: to["reason"].partition(":")[0] for to in found}

    assert await reasons() == {
        "carol": "no route",
        "claude-code": "not handed out yet",
        "dave": "instance gone",
    }
    await cli.hook("after")
    assert (await reasons())["claude-code"] == "handed out, and not yet seen in the model's context"


async def test_an_answer_that_came_too_late_is_no_delivery(
    mesh: Mesh, bob: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(mesh)
    await cli.hook("start")
    message_id = await send(bob, await cli.agent())
    monkeypatch.setattr("repomesh.surfaces.hooks.routes.HOOK_ANSWER_S", 0.0)
    assert "Done?" in await cli.told("after")
    monkeypatch.undo()
    [to] = (await trace(bob, message_id))["recipients"]
    assert to["reason"] == "hook failing: the answer came too late for the hook"
    assert "Done?" in await cli.told("after")  # at once again
    await cli.hook("after")
    assert (await trace(bob, message_id))["recipients"][0]["status"] == "injected"


async def test_a_notice_of_non_delivery_says_the_reason(mesh: Mesh, bob: Speaker) -> None:
    await mesh.agent("carol")
    message_id = await send(bob, "carol", ttl_s=5)
    mesh.clock.advance(6)
    await mesh.sweep()
    [notice] = (await bob.get("/v1/messages/inbox"))["items"]
    assert "- carol: never offered to it (no route: no hooks of its CLI are connected" in notice["body"]
    traced = await trace(bob, message_id)
    assert [one["message_id"] for one in traced["notices"]] == [notice["id"]]
    [event] = await mesh.events(type=["message.undelivered"])
    assert event["data"]["missed"][0]["reason"].startswith("no route")


async def test_only_those_concerned_see_a_trace(mesh: Mesh, bob: Speaker) -> None:
    carol, dave = await mesh.agent("carol"), await mesh.agent("dave")
    message_id = await send(bob, "carol")
    assert (await trace(carol, message_id))["message_id"] == message_id
    assert (await trace(mesh, message_id))["message_id"] == message_id
    with pytest.raises(Refused) as refused:
        await trace(dave, message_id)
    assert refused.value.code == "message_not_found"
    everybody = await send(bob, "*")
    with pytest.raises(Refused) as private:
        await trace(await mesh.observer(), everybody)
    assert private.value.code == "receipts_private"


async def test_recipients_come_in_pages(mesh: Mesh, bob: Speaker) -> None:
    for name in ("carol", "dave", "eve"):
        await mesh.agent(name)
    message_id = await send(bob, "*")
    first = await bob.get(f"/v1/messages/{message_id}/trace", limit=2)
    rest = await bob.get(f"/v1/messages/{message_id}/trace", limit=2, cursor=first["next_cursor"])
    names = {to["agent_name"] for to in first["recipients"] + rest["recipients"]}
    assert names == {"carol", "dave", "eve"}
    assert rest["next_cursor"] is None


async def test_over_mcp_the_trace_comes_with_the_thread(mesh: Mesh, bob: Speaker) -> None:
    await mesh.agent("carol")
    message_id = await send(bob, "carol")
    told = await call(bob, "read_thread", message_id=message_id, trace=True, max_chars=3_000)
    assert told["items"][0]["id"] == message_id
    assert told["trace"]["recipients"][0]["agent_name"] == "carol"
    assert "trace" not in await call(bob, "read_thread", message_id=message_id)


async def test_people_read_it_line_by_line(mesh: Mesh, bob: Speaker) -> None:
    await mesh.agent("carol")
    cli = Cli(mesh)
    await cli.hook("start")
    message_id = await send(bob, "carol", await cli.agent())
    await cli.hook("after")
    await cli.hook("after")
    shown = "\n".join(path_lines(TextStyle(datetime.now(UTC)), await trace(bob, message_id))) + "\n"
    assert f"{message_id} from bob, " in shown
    assert "carol (active): stored\n" in shown
    assert "  not before its model: no route: " in shown
    assert "claude-code (active): injected\n" in shown
    assert "  handed out after a tool call (claude s1)\n" in shown
    assert "  seen in its model's context\n" in shown
