"""Two windows may resume one session; a process's number may be given again. Neither mixes up two runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh
from hooking import EVENTS, Cli, repository, text_of
from repomesh.kernel import processes
from repomesh.kernel.limits import CLI_SESSION_ID_CHARS_MAX
from surfaces.hooks.test_guard import EDITS
from surfaces.hooks.test_runs import registered, run_of

pytestmark = pytest.mark.anyio
HERE = processes.name_of(os.getpid())


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine, which runs until it is told to end."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.communicate(timeout=20)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return repository(tmp_path / "project")


def earlier(process: str) -> str:
    """The process that had this one's number before."""
    number, _, machine = process.partition("@")
    return f"{number.partition('.')[0]}.1@{machine}"


async def begun(window: Cli, source: str = "startup") -> str:
    """Begin a session; answers the agent that the server registered or found."""
    before = await sessions(window.mesh)
    await window.hook("start", source=source)
    after = await sessions(window.mesh)
    [agent] = {name for key, name in after.items() if before.get(key) != name} or {after[window.session_id]}
    return agent


async def sessions(mesh: Mesh) -> dict[str, str]:
    items = (await mesh.get("/v1/cli-sessions"))["items"]
    return {one["session_id"]: one["agent_name"] for one in items}


async def lock(mesh: Mesh, agent: str) -> None:
    await mesh.post("/v1/locks/acquire", headers={"X-Repomesh-Agent": agent}, resources=["src/**"])


async def holders(mesh: Mesh) -> list[str]:
    return [one["agent_name"] for one in (await mesh.get("/v1/locks"))["items"]]


async def edited(window: Cli) -> Any:
    """What a hook says to an edit below the lock; None when it may happen."""
    printed = await window.hook("before", **EDITS[window.name](str(Path(window.cwd) / "src/a.py")))
    return text_of(printed) if printed is not None else None


@pytest.mark.parametrize("wish", [None, "ann"])
@pytest.mark.parametrize("name", sorted(EVENTS))
async def test_a_session_resumed_in_a_second_window_is_a_second_run(
    mesh: Mesh, home: Path, other: subprocess.Popen[bytes], name: str, wish: str | None
) -> None:
    options: dict[str, Any] = {"cwd": str(home)} | ({"wish": wish} if wish else {})
    first = run_of(mesh, name, "s1", HERE, **options)
    second = run_of(mesh, name, "s1", processes.name_of(other.pid), **options)
    agent = await begun(first)
    await lock(mesh, agent)
    assert await begun(second, "resume") == f"{agent}-2"
    assert f"locked by agent '{agent}'" in await edited(second)
    assert await edited(first) is None
    await second.hook("end", reason="other")
    assert await sessions(mesh) == {"s1": agent}
    assert await holders(mesh) == [agent]
    assert await edited(first) is None


async def test_two_windows_with_proxies_of_their_own_keep_their_agents(
    mesh: Mesh, home: Path, other: subprocess.Popen[bytes]
) -> None:
    window = processes.name_of(other.pid)
    await registered(mesh, HERE, name="ann")
    await registered(mesh, window, name="bea")
    ann = run_of(mesh, "claude", "s1", HERE, cwd=str(home))
    assert await begun(ann) == "ann"
    assert await begun(run_of(mesh, "claude", "s2", window)) == "bea"
    await lock(mesh, "ann")
    resumed = run_of(mesh, "claude", "s1", window, cwd=str(home))
    assert await begun(resumed, "resume") == "bea"
    assert await edited(ann) is None
    assert "locked by agent 'ann'" in await edited(resumed)
    await resumed.hook("end", reason="other")
    assert await edited(ann) is None
    assert await holders(mesh) == ["ann"]


async def test_the_end_of_a_run_that_was_never_heard_of_ends_no_other(
    mesh: Mesh, other: subprocess.Popen[bytes]
) -> None:
    agent = await begun(run_of(mesh, "claude", "s1", HERE))
    await run_of(mesh, "claude", "s1", processes.name_of(other.pid)).hook("end", reason="other")
    assert await sessions(mesh) == {"s1": agent}


async def test_the_second_window_keeps_its_agent_when_the_first_ends(
    mesh: Mesh, other: subprocess.Popen[bytes]
) -> None:
    first = run_of(mesh, "claude", "s1", processes.name_of(other.pid))
    second = run_of(mesh, "claude", "s1", HERE)
    agent = await begun(first)
    assert await begun(second, "resume") == f"{agent}-2"
    await first.hook("end", reason="other")
    await second.hook("prompt", prompt="Go on.")
    assert list((await sessions(mesh)).values()) == [f"{agent}-2"]
    await second.hook("start", source="compact")
    assert list((await sessions(mesh)).values()) == [f"{agent}-2"]


async def test_a_window_that_is_idle_for_long_keeps_its_session(
    mesh: Mesh, other: subprocess.Popen[bytes]
) -> None:
    idle = run_of(mesh, "claude", "s1", HERE)
    agent = await begun(idle)
    mesh.clock.advance(3600)
    await mesh.sweep()
    assert await begun(run_of(mesh, "claude", "s1", processes.name_of(other.pid)), "resume") == f"{agent}-2"
    await idle.hook("prompt", prompt="Go on.")
    await mesh.sweep()
    assert (await sessions(mesh))["s1"] == agent


async def test_a_session_whose_window_crashed_is_taken_over(
    mesh: Mesh, other: subprocess.Popen[bytes]
) -> None:
    agent = await begun(run_of(mesh, "claude", "s1", processes.name_of(other.pid)))
    await lock(mesh, agent)
    other.communicate(timeout=20)
    assert await begun(run_of(mesh, "claude", "s1", HERE), "resume") == agent
    assert await sessions(mesh) == {"s1": agent}
    assert await holders(mesh) == [agent]


async def test_a_helper_of_a_cli_is_no_second_run(mesh: Mesh, other: subprocess.Popen[bytes]) -> None:
    agent = await begun(run_of(mesh, "claude", "s1", HERE))
    above = {"X-Repomesh-Process": f"{processes.name_of(other.pid)},{HERE}"}
    await Cli(mesh, session_id="s1", headers=above).hook("prompt", prompt="Go on.")
    assert await sessions(mesh) == {"s1": agent}


async def test_the_longest_session_id_has_a_second_run(mesh: Mesh, other: subprocess.Popen[bytes]) -> None:
    longest = "s" * CLI_SESSION_ID_CHARS_MAX
    agent = await begun(run_of(mesh, "claude", longest, HERE))
    second = run_of(mesh, "claude", longest, processes.name_of(other.pid))
    assert await begun(second, "resume") == f"{agent}-2"


async def test_a_number_that_is_given_again_is_another_process(mesh: Mesh, home: Path) -> None:
    agent = await begun(run_of(mesh, "claude", "s1", earlier(HERE)))
    await lock(mesh, agent)
    found = await mesh.post("/v1/agents/of-process", processes=[HERE])
    assert found["agent"] is None
    ben = run_of(mesh, "claude", "s2", HERE, wish="ben", cwd=str(home))
    assert await begun(ben) == "ben"
    assert f"locked by agent '{agent}'" in await edited(ben)


async def test_a_run_after_a_crash_under_the_same_number_keeps_its_agent(mesh: Mesh) -> None:
    agent = await begun(run_of(mesh, "claude", "s1", earlier(HERE)))
    await lock(mesh, agent)
    assert await begun(run_of(mesh, "claude", "s1", HERE), "resume") == agent
    assert await sessions(mesh) == {"s1": agent}
    assert await holders(mesh) == [agent]


async def test_a_proxy_under_a_number_that_is_given_again_is_no_part_of_the_dead_run(mesh: Mesh) -> None:
    await begun(run_of(mesh, "claude", "s1", earlier(HERE)))
    assert (await registered(mesh, HERE, name="ben")).name == "ben"
    assert (await sessions(mesh))["s1"] == "claude-code"
