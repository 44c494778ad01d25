"""One run of a CLI is one agent, whatever becomes of its sessions; two runs at the same time are two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Mesh, Speaker
from hooking import EVENTS, Cli
from repomesh.kernel import processes

pytestmark = pytest.mark.anyio
CLIS = sorted(EVENTS)
HERE = processes.name_of(os.getpid())


@pytest.fixture
def crashed() -> str:
    """A process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait(20)
    return processes.name_of(ended.pid)


@pytest.fixture
def running() -> Iterator[str]:
    """Another process of this machine."""
    other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield processes.name_of(other.pid)
    other.communicate(timeout=20)


def run_of(mesh: Mesh, name: str, session_id: str, process: str, **options: Any) -> Cli:
    headers = {"X-Repomesh-Process": f"{process},1@{processes.machine()}"}
    headers |= {"X-Repomesh-Agent": options.pop("wish")} if "wish" in options else {}
    return Cli(mesh, name, session_id, headers=headers, **options)


async def names(mesh: Mesh) -> list[str]:
    return [agent["name"] for agent in (await mesh.get("/v1/agents"))["items"]]


async def token_of(mesh: Mesh, agent: str) -> str:
    return str((await mesh.post("/v1/tokens", role="agent", agent=agent))["token"])


@pytest.mark.parametrize("reason", ["clear", "resume", "other"])
@pytest.mark.parametrize("name", CLIS)
async def test_a_cleared_session_keeps_the_agent_of_its_run(mesh: Mesh, name: str, reason: str) -> None:
    first = run_of(mesh, name, "s1", HERE)
    await first.hook("start")
    await first.hook("end", reason=reason)
    second = run_of(mesh, name, "s2", HERE)
    await second.hook("start", source=reason)
    assert await first.agent() == await second.agent()
    assert len(await names(mesh)) == 1


async def test_a_session_that_begins_before_the_other_ended_is_of_the_same_run(mesh: Mesh) -> None:
    first, fork = run_of(mesh, "claude", "s1", HERE), run_of(mesh, "claude", "s2", HERE)
    await first.hook("start")
    await fork.hook("start", source="resume")
    await first.hook("end", reason="other")
    assert await first.agent() == await fork.agent()
    assert (await mesh.get(f"/v1/agents/{await fork.agent()}"))["status"] == "active"


async def test_a_subagents_hooks_are_its_parents(mesh: Mesh) -> None:
    parent, child = run_of(mesh, "claude", "s1", HERE), run_of(mesh, "claude", "child", HERE)
    await parent.hook("start")
    await parent.hook("before", tool_name="Edit", agent_id="sub", tool_input={"file_path": "a.txt"})
    await child.hook("prompt", prompt="Work.")
    assert await parent.agent() == await child.agent()


@pytest.mark.parametrize("name", CLIS)
async def test_a_run_after_a_crash_keeps_agent_locks_and_messages(
    mesh: Mesh, name: str, crashed: str
) -> None:
    first = run_of(mesh, name, "s1", crashed)
    await first.hook("start")
    agent = await first.agent()
    acting = {"X-Repomesh-Agent": agent}
    await mesh.post("/v1/locks/acquire", headers=acting, resources=["a.txt"])
    bob = await mesh.agent("bob")
    await bob.post("/v1/messages", to=[agent], body="The parser is done.")
    again = run_of(mesh, name, "s2", HERE)
    assert "| The parser is done." in await again.told("start")
    await mesh.sweep()
    assert await again.agent() == agent
    assert [lock["agent_name"] for lock in (await mesh.get("/v1/locks"))["items"]] == [agent]


@pytest.mark.parametrize("wish", [None, "ann"])
async def test_two_runs_at_the_same_time_are_two_agents(mesh: Mesh, running: str, wish: str | None) -> None:
    options = {"wish": wish} if wish else {}
    one, two = run_of(mesh, "claude", "s1", HERE, **options), run_of(mesh, "claude", "s2", running, **options)
    await one.hook("start")
    await two.hook("start")
    assert await two.agent() == f"{await one.agent()}-2"


async def test_a_run_that_is_idle_for_long_keeps_its_agent(mesh: Mesh, running: str) -> None:
    idle = run_of(mesh, "claude", "s1", HERE)
    await idle.hook("start")
    mesh.clock.advance(3600)
    await mesh.sweep()
    other = run_of(mesh, "claude", "s2", running)
    await other.hook("start")
    await idle.hook("prompt", prompt="Go on.")
    assert (await idle.agent(), await other.agent()) == ("claude-code", "claude-code-2")


async def test_hooks_act_as_the_agent_of_their_token(mesh: Mesh, crashed: str) -> None:
    token = await token_of(mesh, "ann")
    over_mcp = Speaker(mesh.http, token)
    await over_mcp.post("/v1/locks/acquire", resources=["a.txt"])
    for session_id, process in (("s1", crashed), ("s2", HERE)):
        run = run_of(mesh, "claude", session_id, process, token=token)
        await run.hook("start")
        assert await run.agent() == "ann"
    assert await names(mesh) == ["ann"]


async def test_a_model_may_register_with_the_token_of_its_hooks(mesh: Mesh) -> None:
    token = await token_of(mesh, "ann")
    run = run_of(mesh, "claude", "s1", HERE, token=token)
    await run.hook("start")
    made = await Speaker(mesh.http, token).post("/v1/agents/register", instance_id="mcp:1")
    assert (made["agent"]["name"], made["took_over"]) == ("ann", False)
    [session] = (await mesh.get("/v1/cli-sessions"))["items"]
    assert session["instance_id"] == "mcp:1"


async def test_a_session_of_a_cli_that_was_connected_anew_is_of_its_new_agent(
    mesh: Mesh, crashed: str
) -> None:
    await run_of(mesh, "claude", "s1", crashed).hook("start")
    run = run_of(mesh, "claude", "s1", HERE, token=await token_of(mesh, "ann"))
    await run.hook("prompt", prompt="Go on.")
    assert await run.agent() == "ann"


async def test_a_token_does_not_take_the_session_of_an_agent_that_is_there(mesh: Mesh) -> None:
    await run_of(mesh, "claude", "s1", HERE).hook("start")
    thief = run_of(mesh, "claude", "s1", HERE, token=await token_of(mesh, "ann"))
    assert (await thief.call("SessionStart")).status_code == 403
    assert await thief.agent() == "claude-code"


async def registered(mesh: Mesh, process: str, **fields: Any) -> Speaker:
    instance = f"proxy:{process.partition('@')[0]}"
    body = {"program": "claude-code", "process_id": process, "instance_id": instance}
    made = await mesh.post("/v1/agents/register", **body | fields)
    return Speaker(mesh.http, made["token"], made["agent"]["name"], made["agent"]["id"], made)


async def test_a_proxy_whose_cli_crashed_leaves_agent_and_locks_to_its_next_run(
    mesh: Mesh, crashed: str
) -> None:
    proxy = await registered(mesh, crashed)
    await run_of(mesh, "claude", "s1", crashed).hook("start")
    await proxy.post("/v1/locks/acquire", resources=["a.txt"])
    await proxy.post(f"/v1/agents/{proxy.id}/leave")
    await mesh.sweep()
    again = await registered(mesh, HERE)
    await mesh.sweep()
    assert again.id == proxy.id
    assert len((await mesh.get("/v1/locks"))["items"]) == 1


async def test_a_proxy_whose_session_was_ended_leaves_at_once(mesh: Mesh) -> None:
    proxy = await registered(mesh, HERE)
    run = run_of(mesh, "claude", "s1", HERE)
    await run.hook("start")
    await run.hook("end", reason="other")
    assert (await mesh.get(f"/v1/agents/{proxy.id}"))["status"] == "inactive"


@pytest.mark.parametrize("hooks_first", [True, False])
async def test_the_second_proxy_of_a_wish_is_the_next_of_its_name(
    mesh: Mesh, running: str, hooks_first: bool
) -> None:
    await registered(mesh, HERE, name="ann", next_if_active=True)
    run = run_of(mesh, "claude", "s2", running, wish="ann")
    if hooks_first:
        await run.hook("start")
    second = await registered(mesh, running, name="ann", next_if_active=True)
    if not hooks_first:
        await run.hook("start")
    assert (second.name, await run.agent()) == ("ann-2", "ann-2")
