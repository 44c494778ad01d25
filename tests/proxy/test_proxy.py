"""The proxy is an agent: it registers, speaks, outlives the server, and leaves."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cli.running import Shell, repository
from fault.running import Process
from harness import Speaker
from live import LiveMesh
from proxy.pipes import Pipes, calling, hello, proxy
from repomesh.kernel import data_folder
from tooling import MODES, ToolRefused, proxy_command, through_proxy, told, use

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)


async def becomes(speaker: Speaker, agent: str, status: str) -> None:
    """Return when the agent has the status."""

    async def has() -> bool:
        return bool((await speaker.get(f"/v1/agents/{agent}"))["status"] == status)

    await eventually(has)


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_speaks_through_it(live: LiveMesh, mode: str) -> None:
    assert live.token is not None
    bob = await live.agent("bob")
    async with through_proxy(live.url, live.token, mode) as client:
        assert len((await client.list_tools()).tools) > 10
        assert (await use(client, "register_agent"))["agent"]["name"] == "test-client"
        await use(client, "send_message", to=["bob"], body="héllo\u2028 ✓")
        with pytest.raises(ToolRefused) as refused:
            await use(client, "send_message", to=["nobody"], body="hello")
        assert refused.value.body["hint"]
        async with asyncio.TaskGroup() as tasks:
            wait = tasks.create_task(use(client, "wait_for_messages", timeout_s=40.0))
            assert (await use(client, "list_agents"))["items"]
            await bob.post("/v1/messages", to=["test-client"], body="go on")
        assert wait.result()["items"][0]["body"] == "go on"
    assert [item["body"] for item in (await bob.get("/v1/messages/inbox"))["items"]] == ["héllo\u2028 ✓"]
    await becomes(live, "test-client", "inactive")


async def test_each_process_is_an_agent_of_its_own(live: LiveMesh) -> None:
    assert live.token is not None
    async with proxy(live.url, live.token) as one, proxy(live.url, live.token) as two:
        names = [(await pipes.call("register_agent"))["agent"]["name"] for pipes in (one, two)]
    assert names == ["tester", "tester-2"]


@pytest.mark.settings(agent_inactive_after_s=1.5, sweep_every_s=0.1)
async def test_its_life_is_the_agents_heartbeat(live: LiveMesh) -> None:
    assert live.token is not None
    async with proxy(live.url, live.token, "alice") as pipes:
        await pipes.call("acquire_locks", resources=["src/"])
        await asyncio.sleep(3)
        assert (await live.get("/v1/agents/alice"))["status"] == "active"
        await pipes.end(signal.SIGKILL)
        await becomes(live, "alice", "inactive")
    bob = await live.agent("bob")
    await bob.post("/v1/locks/acquire", resources=["src/"])


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGHUP])
async def test_it_leaves_when_its_client_goes(live: LiveMesh, number: int | None) -> None:
    assert live.token is not None
    async with proxy(live.url, live.token, "alice") as pipes:
        pipes.send(hello())
        await pipes.answer("hello")
        pipes.send(calling("wait_for_messages", stateless=False, timeout_s=40.0))
        await becomes(live, "alice", "active")
        assert await pipes.end(number) == 0
    assert (await live.get("/v1/agents/alice"))["status"] == "inactive"


async def test_the_second_of_a_name_is_refused_in_words(live: LiveMesh) -> None:
    assert live.token is not None
    await live.agent("alice")
    async with proxy(live.url, live.token, "alice") as pipes:
        with pytest.raises(ToolRefused) as refused:
            await pipes.call("list_agents")
        assert refused.value.code == "agent_active_elsewhere"
        pipes.send(hello())
        error = (await pipes.answer("hello"))["error"]
        assert "another live instance" in error["message"]
        assert error["data"]["code"] == "agent_active_elsewhere"


async def test_one_that_was_replaced_says_so_and_stays_away(live: LiveMesh) -> None:
    assert live.token is not None
    async with proxy(live.url, live.token, "alice") as pipes:
        await pipes.call("list_agents")
        other = await live.agent("alice", force=True)
        for _ in range(2):
            with pytest.raises(ToolRefused) as refused:
                await pipes.call("list_agents")
            assert refused.value.code == "instance_replaced"
        await other.post(f"/v1/agents/{other.id}/leave")
        with pytest.raises(ToolRefused):
            await pipes.call("list_agents")


async def test_it_joins_again_when_its_cli_goes_on_after_a_session(live: LiveMesh) -> None:
    async def hook(event: str) -> None:
        said = {"session_id": "s1", "hook_event_name": event, "reason": "other"}
        above = {"X-Repomesh-Process": f"1,{os.getpid()}"}
        answer = await live.request("POST", f"/v1/hooks/claude/{event}", json=said, headers=above)
        assert answer.status_code in (200, 204), answer.text

    async with proxy(live.url, str(live.token), "alice") as pipes:
        pipes.send(hello(1), calling("list_agents", 2, stateless=False))
        assert told((await pipes.answer(2))["result"])["items"]
        await hook("SessionStart")
        await hook("SessionEnd")
        assert (await live.get("/v1/agents/alice"))["status"] == "inactive"
        pipes.send(calling("list_agents", 3, stateless=False))
        assert told((await pipes.answer(3))["result"])["items"]
        assert (await live.get("/v1/agents/alice"))["status"] == "active"


async def test_a_refused_token_is_told_to_the_model(live: LiveMesh) -> None:
    async with proxy(live.url, "stolen") as pipes:
        with pytest.raises(ToolRefused) as refused:
            await pipes.call("list_agents")
        assert (refused.value.code, bool(refused.value.body["hint"])) == ("unauthenticated", True)


async def test_what_is_no_message_is_refused_and_the_rest_goes_on(live: LiveMesh) -> None:
    assert live.token is not None
    async with proxy(live.url, live.token) as pipes:
        wrong = (
            b"nonsense",
            b"[]",
            b"[" * 5_000 + b"]" * 5_000,
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
            b'{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}',
            b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":1,"method":["ping"]}',
        )
        for line in wrong:
            pipes.raw(line, b"")
            assert (await pipes.answer(None))["error"]["code"] == -32600, line[:60]
        pipes.send(calling("make_coffee", 7))
        assert (await pipes.answer(7))["error"]["code"] == -32602
        assert (await pipes.call("list_agents"))["items"]


async def test_a_call_that_is_cancelled_ends_in_the_server(live: LiveMesh) -> None:
    assert live.token is not None

    async def waiting(count: int) -> None:
        async def so_many() -> bool:
            return len(live.server.dispatch._waiting_tasks) == count

        await eventually(so_many)

    async with proxy(live.url, live.token) as pipes:
        pipes.send(calling("wait_for_messages", 5, timeout_s=40.0))
        await waiting(1)
        gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        pipes.send(gone)
        await waiting(0)
        assert (await pipes.call("list_agents"))["items"]


async def test_its_input_may_be_a_file(live: LiveMesh, tmp_path: Path) -> None:
    assert live.token is not None
    requests = tmp_path / "requests"
    requests.write_text("\n".join(json.dumps(calling("list_agents", number)) for number in (1, 2)))
    with requests.open("rb") as stdin:
        async with proxy(live.url, live.token, stdin=stdin) as pipes:
            async with asyncio.timeout(20):
                out, _ = await pipes.process.communicate()
            assert pipes.process.returncode == 0
    assert {json.loads(line)["id"] for line in out.splitlines()} == {1, 2}


@pytest.fixture
def process(tmp_path: Path) -> Any:
    """A server in a process of its own, not started yet."""
    made = Process(tmp_path / "apart")
    yield made
    made.stop()


async def test_the_server_may_come_late_restart_and_be_killed(process: Process, engine: str) -> None:
    process.start()
    token = process.token
    await asyncio.to_thread(process.stop)
    async with proxy(process.url, token, "alice") as pipes:
        pipes.send(hello(1), calling("list_agents", 2, stateless=False))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(process.start)
        assert told((await pipes.answer(2))["result"])["items"]
        await asyncio.to_thread(process.stop)
        # Several requests miss the same session at once.
        pipes.send(*(calling("list_agents", number, stateless=False) for number in (3, 4, 5)))
        await asyncio.to_thread(process.start)
        for number in (3, 4, 5):
            assert told((await pipes.answer(number))["result"])["items"]
        pipes.send(calling("wait_for_messages", 6, stateless=False, timeout_s=3.0))
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.to_thread(process.start)
        assert told((await pipes.answer(6))["result"]) == {"items": []}


async def test_it_joins_again_when_the_servers_data_was_set_back(
    process: Process, tmp_path: Path, engine: str
) -> None:
    process.start()
    token = process.token
    await asyncio.to_thread(process.stop)
    shutil.copytree(process.data, tmp_path / "before")
    await asyncio.to_thread(process.start)
    async with proxy(process.url, token, "alice") as pipes:
        pipes.send(hello(1), calling("create_task", 2, stateless=False, goal="Lost with the data"))
        assert told((await pipes.answer(2))["result"])["goal"]
        await asyncio.to_thread(process.stop)
        shutil.rmtree(process.data)
        shutil.copytree(tmp_path / "before", process.data)
        await asyncio.to_thread(process.start)
        pipes.send(calling("list_tasks", 3, stateless=False))
        assert told((await pipes.answer(3))["result"])["items"] == []
        pipes.send(calling("register_agent", 4, stateless=False))
        assert told((await pipes.answer(4))["result"])["agent"]["name"] == "alice"


async def test_it_ends_with_its_client_though_another_holds_the_pipe_open(live: LiveMesh) -> None:
    assert live.token is not None
    how = proxy_command(live.url, live.token, "alice")
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:  # held by this process, which is not the proxy's parent
        starting = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
        words = [sys.executable, "-c", starting, how["command"], *how["args"]]
        client = await asyncio.create_subprocess_exec(
            *words, env=how["env"], stdin=reading, stdout=asyncio.subprocess.DEVNULL
        )
        os.close(reading)
        lines = (hello(1), calling("list_agents", 2))
        pipe.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        pipe.flush()

        async def joined() -> bool:
            return "alice" in [agent["name"] for agent in (await live.get("/v1/agents"))["items"]]

        await eventually(joined)
        client.kill()
        await client.wait()
        await becomes(live, "alice", "inactive")


async def test_it_follows_the_server_of_its_folder_to_another_port(tmp_path: Path, engine: str) -> None:
    shell = Shell(repository(tmp_path / "project"))
    assert shell("up", "--detach", "--port", "0").code == 0
    first = data_folder.read_server(shell.data)
    words = [sys.executable, "-m", "repomesh.cli.main", "mcp", "--agent", "alice"]
    client = await asyncio.create_subprocess_exec(*words, cwd=shell.folder, stdin=PIPE, stdout=PIPE)
    pipes = Pipes(client)
    try:
        pipes.send(hello(1), calling("list_agents", 2, stateless=False))
        assert told((await pipes.answer(2))["result"])["items"]
        assert shell("down").code == 0
        assert shell("up", "--detach", "--port", "0").code == 0
        assert first is not None
        assert data_folder.read_server(shell.data) != first
        pipes.send(calling("list_agents", 3, stateless=False))
        assert told((await pipes.answer(3))["result"])["items"]
    finally:
        client.kill()
        await client.wait()
        shell("down")
