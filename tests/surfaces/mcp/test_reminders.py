"""Clients without hooks: what must not be overlooked stands at the end of what tools answer."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Speaker
from repomesh.domains.agents.cli_sessions.models import BeginCliSession
from repomesh.domains.messaging.delivery import rules
from repomesh.kernel.identity import RequestContext
from tooling import ask

pytestmark = pytest.mark.anyio


async def reminded(speaker: Speaker, tool: str = "list_agents", **arguments: Any) -> str:
    """What follows the answer of a tool."""
    answer = await ask(speaker, "tools/call", name=tool, arguments=arguments)
    texts = [block["text"] for block in answer.json()["result"]["content"]]
    assert len(texts) in (1, 2)
    return texts[1] if len(texts) == 2 else ""


async def test_what_is_important_and_unread_is_said_until_it_is_dealt_with(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/messages", to=["bob"], body="by the way")
    assert await reminded(bob) == ""
    first = await alice.post("/v1/messages", to=["bob"], body="urgently", priority="high")
    second = await alice.post("/v1/messages", to=["bob"], body="well?", ack_required=True)
    line = await reminded(bob)
    assert "2 unread messages need you, from alice" in line
    assert "\n" not in line
    assert await reminded(bob, "read_inbox") == "", "the answer itself shows them"
    for message in (first, second):
        await bob.post(f"/v1/messages/{message['id']}/ack")
    assert await reminded(bob) == ""


async def test_a_lease_that_is_about_to_expire_is_said(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    assert await reminded(bob, "acquire_locks", resources=["src/a.py"]) == ""
    assert await reminded(bob) == ""
    await bob.post("/v1/locks/acquire", resources=["src/b.py"], ttl_s=30.0)
    assert "runs out in" in await reminded(bob)
    assert await reminded(bob, "acquire_locks", resources=["src/c.py"]) == ""


async def test_what_was_lost_comes_first_and_once(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    for look, begins in ((reminded, "[repomesh] First: you no longer hold"), (answered, '{"lost":')):
        await bob.post("/v1/locks/acquire", resources=["src/a.py"])
        await mesh.settled()
        mesh.clock.advance(3600)
        await mesh.sweep()
        text = await look(bob, "list_agents" if look is reminded else "read_inbox")
        assert text.startswith(begins)
        assert "'src/a.py'" in text
        await noted(mesh)
        assert "no longer hold" not in await answered(bob, "read_inbox") + await reminded(bob)


async def noted(mesh: Mesh) -> None:
    """Wait until what answers told is written down."""
    endpoint = await mesh.server.mcp.endpoint()
    await endpoint.settled()


async def answered(speaker: Speaker, tool: str) -> str:
    """The answer of a tool, once what it led to is written down."""
    arguments = {"timeout_s": 0.0} if tool == "wait_for_messages" else {}
    answer = await ask(speaker, "tools/call", name=tool, arguments=arguments)
    return str(answer.json()["result"]["content"][0]["text"])


async def test_who_has_hooks_is_told_by_them(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/messages", to=["bob"], body="urgently", priority="urgent")
    assert await reminded(bob) != ""
    caller = await mesh.server.authenticate(f"Bearer {bob.token}")
    begin = BeginCliSession(cli="claude", session_id="s-1")
    operation = mesh.server.gateway.registry["cli_session.begin"]
    await mesh.server.dispatch(operation, caller, begin, RequestContext())
    assert await reminded(bob) == ""


async def test_who_is_no_agent_is_not_reminded(mesh: Mesh) -> None:
    assert await reminded(mesh) == ""


def test_a_reminder_is_one_short_line() -> None:
    senders = [f"agent-{'x' * 50}-{number % 9}" for number in range(100)]
    line = rules.reminder(senders, 12.4, 60)
    assert len(line) < 500
    assert "100 unread messages need you" in line
    assert "and others" in line
    assert "12 s" in line
    assert rules.reminder([], 61, 60) == rules.reminder([], None, 60) == rules.reminder([], -1, 60) == ""
    assert rules.reminder(["bob"], None, 60).startswith("[repomesh] An unread message needs you, from bob")
