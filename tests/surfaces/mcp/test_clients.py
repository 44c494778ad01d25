"""The official client over HTTP, connecting in every way that it can."""

from __future__ import annotations

import asyncio

import pytest
from mcp.shared.exceptions import MCPError

from live import LiveMesh
from repomesh.surfaces.mcp import endpoint
from tooling import MODES, ToolRefused, over_http, use

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("engine", ["sqlite"]),
    pytest.mark.parametrize("mode", MODES),
]


async def test_a_client_lists_and_calls_tools(live: LiveMesh, mode: str) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    assert alice.token is not None
    async with over_http(live.url, alice.token, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["send_message"].input_schema["additionalProperties"] is False
        assert mode == MODES[0] or "register_agent" in (client.instructions or "")
        await use(client, "send_message", to=["bob"], body="héllo\u2028 ✓")
        with pytest.raises(ToolRefused) as refused:
            await use(client, "send_message", to=["nobody"], body="hello")
        assert refused.value.body["hint"]
        with pytest.raises(MCPError, match="Unknown tool"):
            await use(client, "make_coffee")
    assert [item["body"] for item in (await bob.get("/v1/messages/inbox"))["items"]] == ["héllo\u2028 ✓"]


async def test_the_owner_with_a_header_is_that_agent(live: LiveMesh, mode: str) -> None:
    assert live.token is not None
    async with over_http(live.url, live.token, mode, X_Repomesh_Agent="carol") as client:
        made = await use(client, "register_agent")
        assert (made["agent"]["name"], made["agent"]["program"]) == ("carol", "Test Client")
        assert (await use(client, "read_inbox"))["items"] == []


async def test_a_wait_tells_that_it_goes_on_and_holds_up_nobody(
    live: LiveMesh, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PROGRESS_EVERY_S", 0.05)
    alice, bob = await live.agent("alice"), await live.agent("bob")
    assert bob.token is not None
    seen: list[float] = []
    heard = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)
        if len(seen) >= 3:
            heard.set()

    async with over_http(live.url, bob.token, mode) as client, asyncio.TaskGroup() as tasks:
        waits = [
            tasks.create_task(
                client.call_tool("wait_for_messages", {"timeout_s": 40.0}, progress_callback=note)
            )
            for _ in range(5)
        ]
        await use(client, "list_agents")
        await heard.wait()
        await alice.post("/v1/messages", to=["bob"], body="go on")
        await asyncio.wait(waits)
    assert all("go on" in str(wait.result().content) for wait in waits)
    assert seen
