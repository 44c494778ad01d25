"""A CLI's hooks and its proxy are one agent, whoever comes first, and the agent ends with its CLI."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.agents.cli_sessions.rules import depth, first_free
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext
from repomesh.operations import registry

pytestmark = pytest.mark.anyio


async def do(mesh: Mesh, name: str, speaker: Speaker | None = None, **fields: Any) -> Any:
    """Run an operation that hooks call, as the owner or as an agent."""
    who = speaker or mesh
    caller = await mesh.server.authenticate(f"Bearer {who.token}")
    operation = registry[name]
    payload = operation.request(**fields)
    answer = await mesh.server.dispatch(operation, caller, payload, RequestContext())
    return answer.result


async def begin(mesh: Mesh, session_id: str = "s1", **fields: Any) -> Any:
    return (await do(mesh, "cli_session.begin", cli="claude", session_id=session_id, **fields)).session


async def proxy(mesh: Mesh, process_id: str, **fields: Any) -> Any:
    body = {
        "program": "claude-code",
        "process_id": process_id,
        "instance_id": f"proxy:{process_id.partition('@')[0]}",
    }
    return await mesh.post("/v1/agents/register", **(body | fields))


async def test_hooks_first_then_the_proxy_are_one_agent(mesh: Mesh) -> None:
    hooked = await begin(mesh, processes=("31", "30", "1"))
    assert hooked.agent_name == "claude-code"
    registered = await proxy(mesh, "30")
    assert registered["agent"]["id"] == hooked.agent_id
    assert registered["took_over"] is False
    [session] = (await mesh.get("/v1/cli-sessions"))["items"]
    assert (session["agent_id"], session["instance_id"]) == (hooked.agent_id, "proxy:30")


async def test_the_proxy_first_then_hooks_are_one_agent(mesh: Mesh) -> None:
    registered = await proxy(mesh, "30@here")
    hooked = await begin(mesh, processes=("31@here", "30@here", "1@here"))
    assert hooked.agent_id == registered["agent"]["id"]
    assert hooked.instance_id == "proxy:30"


async def test_a_process_of_another_machine_is_another_agent(mesh: Mesh) -> None:
    registered = await proxy(mesh, "30@here")
    hooked = await begin(mesh, processes=("30@there",))
    assert hooked.agent_id != registered["agent"]["id"]


async def test_a_cli_that_another_started_is_an_agent_of_its_own(mesh: Mesh) -> None:
    await proxy(mesh, "30")
    outer = await begin(mesh, "outer", processes=("30", "20"))
    inner = await begin(mesh, "inner", processes=("40", "30", "20"))
    assert inner.agent_id != outer.agent_id
    assert inner.agent_name == "claude-code-2"
    assert (await proxy(mesh, "40"))["agent"]["id"] == inner.agent_id


async def test_a_proxy_that_names_another_agent_takes_the_session_with_it(mesh: Mesh) -> None:
    hooked = await begin(mesh, processes=("30",))
    registered = await proxy(mesh, "30", name="alice")
    assert registered["agent"]["name"] == "alice"
    [session] = (await mesh.get("/v1/cli-sessions"))["items"]
    assert session["agent_name"] == "alice"
    assert (await mesh.get(f"/v1/agents/{hooked.agent_id}"))["status"] == "inactive"


async def test_a_cli_that_comes_back_is_the_agent_that_it_was(mesh: Mesh) -> None:
    first = await begin(mesh, "s1")
    second = await begin(mesh, "s2")
    assert (first.agent_name, second.agent_name) == ("claude-code", "claude-code-2")
    await do(mesh, "cli_session.end", cli="claude", session_id="s1", reason="exit")
    assert (await mesh.get("/v1/agents/claude-code"))["status"] == "inactive"
    again = await begin(mesh, "s3")
    assert again.agent_id == first.agent_id
    resumed = await begin(mesh, "s2")
    assert resumed.agent_id == second.agent_id


async def test_a_wanted_name_is_had_unless_somebody_speaks_for_it(mesh: Mesh) -> None:
    await mesh.agent("bob")
    assert (await begin(mesh, "s1", wanted="bob")).agent_name == "bob-2"
    assert (await begin(mesh, "s2", wanted="carol")).agent_name == "carol"


async def test_a_session_that_is_resumed_after_its_end_is_the_same_agent(mesh: Mesh) -> None:
    first = await begin(mesh)
    await do(mesh, "cli_session.end", cli="claude", session_id="s1")
    again = await begin(mesh)
    assert again.agent_id == first.agent_id
    assert again.ended_at is None
    assert (await mesh.get("/v1/agents/claude-code"))["status"] == "active"


async def test_a_proxy_that_was_killed_is_gone_with_its_session(mesh: Mesh) -> None:
    registered = await proxy(mesh, "30")
    await begin(mesh, processes=("30",))
    await do(mesh, "cli_session.end", cli="claude", session_id="s1", reason="complete")
    assert (await mesh.get(f"/v1/agents/{registered['agent']['id']}"))["status"] == "inactive"


async def test_a_proxy_that_lives_on_is_told_to_register_again(mesh: Mesh) -> None:
    registered = await proxy(mesh, "30")
    await begin(mesh, processes=("30",))
    await do(mesh, "cli_session.end", cli="claude", session_id="s1", reason="complete")
    old = Speaker(mesh.http, registered["token"])
    with pytest.raises(Refused) as refused:
        await old.get("/v1/agents")
    assert refused.value.code == "instance_ended"
    assert (await proxy(mesh, "30", name="claude-code"))["agent"]["id"] == registered["agent"]["id"]


async def test_a_proxys_instance_outlives_a_session_that_is_cleared(mesh: Mesh) -> None:
    registered = await proxy(mesh, "30")
    await begin(mesh, processes=("30",))
    await do(mesh, "cli_session.end", cli="claude", session_id="s1", reason="clear", goes_on=True)
    assert (await mesh.get(f"/v1/agents/{registered['agent']['id']}"))["status"] == "active"
    assert (await begin(mesh, "s2", processes=("30",))).agent_id == registered["agent"]["id"]


async def test_a_session_that_goes_on_in_its_process_keeps_the_agent(mesh: Mesh) -> None:
    first = await begin(mesh)
    await do(mesh, "cli_session.end", cli="claude", session_id="s1", goes_on=True)
    assert (await mesh.get(f"/v1/agents/{first.agent_id}"))["status"] == "active"


async def test_a_killed_cli_is_inactive_after_the_heartbeat_time_and_its_session_over(mesh: Mesh) -> None:
    hooked = await begin(mesh)
    mesh.clock.advance(91)
    await mesh.sweep()
    assert (await mesh.get(f"/v1/agents/{hooked.agent_id}"))["status"] == "inactive"
    assert (await mesh.get("/v1/cli-sessions"))["items"] == []
    [over] = (await mesh.get("/v1/cli-sessions", live=False))["items"]
    assert over["ended_reason"] == "gone"


async def test_sessions_that_were_over_for_long_are_forgotten(mesh: Mesh) -> None:
    for session_id in ("s1", "s2"):
        await begin(mesh, session_id)
        await do(mesh, "cli_session.end", cli="claude", session_id=session_id)
        mesh.clock.advance(7 * 24 * 3600 + 1)
    await begin(mesh, "s3")
    known = [one["session_id"] for one in (await mesh.get("/v1/cli-sessions", live=False))["items"]]
    assert known == ["s3"]


async def test_state_changes_are_told_and_nothing_else(mesh: Mesh) -> None:
    await begin(mesh)
    for state in ("busy", "busy", "idle"):
        await do(mesh, "cli_session.note", cli="claude", session_id="s1", state=state)
    events = [event["type"] for event in await mesh.events(type=["cli_session"])]
    assert events == ["cli_session.started", "cli_session.changed", "cli_session.changed"]


async def test_an_agents_token_speaks_for_its_own_sessions_only(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    result = await do(mesh, "cli_session.begin", alice, cli="codex", session_id="x")
    assert result.session.agent_name == "alice"
    with pytest.raises(RepomeshError) as refused:
        await do(mesh, "cli_session.end", bob, cli="codex", session_id="x")
    assert refused.value.code == "not_your_agent"


async def test_a_permission_prompt_is_told_to_people_only(mesh: Mesh) -> None:
    await begin(mesh)
    bob = await mesh.agent("bob")
    fields = {"cli": "claude", "session_id": "s1", "tool": "Bash", "summary": "rm -rf build"}
    await do(mesh, "cli_session.permission", **fields)
    [event] = await mesh.events(type=["agent.permission_requested"])
    assert event["data"]["tool"] == "Bash"
    assert (await bob.get("/v1/events", type=["agent.permission_requested"]))["items"] == []


def test_only_the_nearest_ancestors_are_a_hooks_cli() -> None:
    assert depth(["9", "8", "7"], "8") == 1
    assert depth(["9", "8", "7"], "7") is None
    assert depth(["9@a"], "9@b") is None
    assert depth(["9"], "9@b") == 0


def test_names_are_counted_up_and_the_servers_own_is_no_name() -> None:
    assert first_free("a", {"a": True, "a-2": False}) == "a-2"
    assert first_free("repomesh", {}) == "repomesh-2"
