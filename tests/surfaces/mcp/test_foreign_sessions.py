"""A session id is no credential: a caller that sends another's acts as itself, or gets 404."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest

from harness import Speaker
from live import LiveMesh
from tooling import OLDER, STATELESS, Session, ToolRefused, ask, call

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

VERSIONS = (STATELESS, "2099-01-01", "", OLDER, None)
"""Values of MCP-Protocol-Version, the header left out among them."""
READS_AND_WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("read_inbox", {}),
    ("send_message", {"to": ["bob"], "body": "from the victim?"}),
    ("acquire_locks", {"resources": ["src/"]}),
    ("register_agent", {}),
)


@dataclass
class Scene:
    """A victim that registered in a session with the owner's token, what it was sent, and strangers."""

    victim: Session
    strangers: dict[str, Speaker]

    @classmethod
    async def of(cls, live: LiveMesh) -> Scene:
        victim = await Session.open(live)
        await victim.call("register_agent", name="victim")
        bob = await live.agent("bob")
        await bob.post("/v1/messages", to=["victim"], body="for the victim only")
        elsewhere = (await live.post("/v1/workspaces", name="elsewhere"))["token"]
        owner_elsewhere = Speaker(live.http, elsewhere, "owner elsewhere")
        made = await owner_elsewhere.post("/v1/agents/register", name="victim")
        strangers = {
            "observer": await live.observer(),
            "another agent": bob,
            "another workspace's owner": owner_elsewhere,
            "another workspace's agent": Speaker(live.http, made["token"], "victim"),
        }
        return cls(victim, strangers)

    @property
    def stolen(self) -> dict[str, str]:
        return {"Mcp-Session-Id": self.victim.headers["Mcp-Session-Id"]}


async def outcome(speaker: Speaker, tool: str, headers: dict[str, str], fields: dict[str, Any]) -> Any:
    """The tool's refusal code, or its answer without what differs from call to call."""
    try:
        answer = await call(speaker, tool, headers, **fields)
    except ToolRefused as refused:
        return refused.code
    return {
        name: answer[name] for name in ("sender_name", "items", "agent_id", "took_over") if name in answer
    }


async def test_in_the_stateless_revision_a_session_id_changes_nothing(live: LiveMesh) -> None:
    scene = await Scene.of(live)
    for (name, stranger), (tool, fields) in itertools.product(scene.strangers.items(), READS_AND_WRITES):
        plain = await outcome(stranger, tool, {}, fields)
        assert await outcome(stranger, tool, scene.stolen, fields) == plain, (name, tool)
    with pytest.raises(ToolRefused) as refused:
        await call(live, "read_inbox", headers=scene.stolen)
    assert refused.value.code == "agent_required", "nor does it for the token that opened the session"
    events = await live.events(type="message.sent")
    assert {event["actor"] for event in events} == {scene.strangers["another agent"].id}


async def test_every_version_a_header_may_name_keeps_strangers_out(live: LiveMesh) -> None:
    scene = await Scene.of(live)
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "read_inbox", "arguments": {}},
    }
    for (name, stranger), version in itertools.product(scene.strangers.items(), VERSIONS):
        headers = {"Accept": "application/json, text/event-stream"} | scene.stolen
        if version is not None:
            headers["MCP-Protocol-Version"] = version
        answer = await stranger.request("POST", "/mcp", json=body, headers=headers)
        assert "for the victim only" not in answer.text, (name, version)
        if version in (OLDER, None):
            assert answer.status_code == 404, (name, version)


async def test_a_strangers_registration_does_not_take_a_session(live: LiveMesh) -> None:
    scene = await Scene.of(live)
    elsewhere = scene.strangers["another workspace's owner"]
    await call(elsewhere, "register_agent", headers=scene.stolen, name="intruder")
    assert (await scene.victim.call("read_inbox"))["items"][0]["body"] == "for the victim only"
    second = {"Mcp-Session-Id": "chosen-by-the-caller"}
    await call(live, "register_agent", headers=second, name="carol")
    for stranger in (live, *scene.strangers.values()):
        assert await outcome(stranger, "read_inbox", second, {}) == await outcome(
            stranger, "read_inbox", {}, {}
        )


async def test_nobody_else_resumes_ends_or_listens_to_a_session(live: LiveMesh) -> None:
    scene = await Scene.of(live)
    resuming = scene.stolen | {"Accept": "text/event-stream", "Last-Event-ID": "0"}
    for name, stranger in scene.strangers.items():
        for version in (OLDER, STATELESS):
            headers = resuming | {"MCP-Protocol-Version": version}
            for method in ("GET", "DELETE"):
                answer = await stranger.request(method, "/mcp", headers=headers)
                assert answer.status_code in (404, 405), (name, version, method)
    assert (await live.get("/v1/agents/victim"))["status"] == "active"
    assert (await scene.victim.call("read_inbox"))["items"] != []


async def test_a_task_is_its_agents_whatever_session_is_named(live: LiveMesh) -> None:
    scene = await Scene.of(live)
    bob = scene.strangers.pop("another agent")
    declared = {
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    }
    begun = await ask(bob, "tools/call", meta=declared, name="wait_for_messages", arguments={})
    task_id = begun.json()["result"]["taskId"]
    carol = await live.agent("carol")
    for stranger, method in itertools.product(
        (carol, *scene.strangers.values()), ("get", "update", "cancel")
    ):
        headers = {"Mcp-Name": task_id} | scene.stolen
        answer = await ask(stranger, f"tasks/{method}", headers=headers, meta=declared, taskId=task_id)
        assert answer.json()["error"]["code"] == -32602, (stranger.name, method)
    own = await ask(bob, "tasks/get", headers={"Mcp-Name": task_id}, meta=declared, taskId=task_id)
    assert own.json()["result"]["status"] == "working"
