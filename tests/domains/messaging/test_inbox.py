"""What needs a person: questions, CLIs that wait for a permission, notices, messages."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Speaker
from hooking import Cli
from repomesh.domains.agents.cli_sessions.models import (
    BeginCliSession,
    EndCliSession,
    NoteCliSession,
    ReportPermission,
)
from repomesh.kernel import limits
from repomesh.kernel.identity import RequestContext
from repomesh.kernel.operation import Model

pytestmark = pytest.mark.anyio

CLI: dict[str, Any] = {"cli": "claude", "session_id": "s-1"}


async def hook(mesh: Mesh, speaker: Speaker, operation: str, request: Model) -> Any:
    """What the hooks' surface does for an agent's CLI."""
    caller = await mesh.server.authenticate(f"Bearer {speaker.token}")
    return await mesh.server.dispatch(
        mesh.server.gateway.registry[operation], caller, request, RequestContext()
    )


async def stands_still(mesh: Mesh, speaker: Speaker, tool: str = "Bash") -> None:
    await hook(
        mesh, speaker, "cli_session.permission", ReportPermission(**CLI, tool=tool, summary="rm -r build")
    )


async def test_it_shows_the_four_sorts(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    await hook(mesh, alice, "cli_session.begin", BeginCliSession(**CLI))
    await stands_still(mesh, alice)
    await jane.post("/v1/messages", to=["alice"], body="gone soon", ttl_s=5.0)
    mesh.clock.advance(6)
    await mesh.sweep()
    await alice.post("/v1/questions", question="Which port?")
    await alice.post("/v1/messages", to=["jane"], body="plain")
    found = await jane.get("/v1/inbox")
    assert [asked["question"] for asked in found["questions"]] == ["Which port?"]
    assert [(one["agent_name"], one["tool"]) for one in found["permissions"]] == [("alice", "Bash")]
    assert [one["tags"] for one in found["notices"]] == [["non-delivery"]]
    assert [one["body"] for one in found["messages"]] == ["plain"]
    assert found["unread"] == 3
    await mesh.server.dispatch.close()
    asked = found["questions"][0]["message_id"]
    receipt = (await alice.get(f"/v1/messages/{asked}/receipts"))["items"][0]
    assert (receipt["status"], receipt["read_at"]) == ("offered", None)


async def test_a_permission_is_shown_until_its_cli_goes_on(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    await hook(mesh, alice, "cli_session.begin", BeginCliSession(**CLI))
    await stands_still(mesh, alice)
    await stands_still(mesh, alice, "Edit")
    assert [one["tool"] for one in (await jane.get("/v1/inbox"))["permissions"]] == ["Edit"]
    mesh.clock.advance(limits.PERMISSION_NOTED_S + 1)
    await hook(mesh, alice, "cli_session.note", NoteCliSession(**CLI, state="idle"))
    assert (await jane.get("/v1/inbox"))["permissions"] == []
    await stands_still(mesh, alice)
    assert len((await jane.get("/v1/inbox"))["permissions"]) == 1
    await hook(mesh, alice, "cli_session.end", EndCliSession(**CLI))
    assert (await jane.get("/v1/inbox"))["permissions"] == []


async def test_a_hook_tells_of_a_permission(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    cli = Cli(mesh, token=alice.token)
    await cli.hook("start")
    await cli.hook("prompt", prompt="Work.")
    wanted = {"tool_name": "Bash", "tool_input": {"command": "rm -r build", "description": "Clean"}}
    await cli.hook("before", **wanted)
    assert (await cli.call("PermissionRequest", **wanted)).status_code in (200, 204)
    await cli.settled()
    jane = await mesh.agent("jane", type="human")
    (asked,) = (await jane.get("/v1/inbox"))["permissions"]
    assert (asked["agent_name"], asked["tool"], "rm -r build" in asked["summary"]) == ("alice", "Bash", True)
    mesh.clock.advance(limits.HOOK_NOTED_EVERY_S + 1)
    await cli.hook("after", **wanted)
    assert (await jane.get("/v1/inbox"))["permissions"] == []


async def test_a_permission_is_for_people_only(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await mesh.agent("jane", type="human")
    await hook(mesh, alice, "cli_session.begin", BeginCliSession(**CLI))
    await stands_still(mesh, alice)
    assert (await bob.get("/v1/inbox"))["permissions"] == []


async def test_it_fits_a_budget_and_keeps_what_comes_first(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    await alice.post("/v1/questions", question="Which port?")
    for number in range(5):
        await alice.post("/v1/messages", to=["jane"], body=f"{number} " * 400)
    response = await jane.request("GET", "/v1/inbox", params={"max_chars": 3_000})
    found = response.json()
    assert len(response.text) <= 3_000
    assert len(found["questions"]) == 1
    assert 1 <= len(found["messages"]) < 5
    assert "raise max_chars" in found["omitted"]
    assert (await jane.get("/v1/inbox"))["omitted"] is None
