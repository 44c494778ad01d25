"""A program that an agent runs is known to be the agent's, however many programs lie between."""

from __future__ import annotations

import pytest

from domains.agents.test_cli_sessions import begin, proxy
from harness import Mesh

pytestmark = pytest.mark.anyio


async def of(mesh: Mesh, *processes: str) -> str | None:
    found = await mesh.post("/v1/agents/of-process", processes=list(processes))
    return found["agent"]["name"] if found["agent"] is not None else None


async def test_the_nearest_cli_above_a_process_is_its_agents(mesh: Mesh) -> None:
    await proxy(mesh, "30@here", name="outer", program="claude-code")
    await proxy(mesh, "60@here", name="inner", program="codex")
    assert await of(mesh, "99@here", "98@here", "60@here", "31@here", "30@here", "2@here") == "inner"
    assert await of(mesh, "99@here", "31@here", "30@here") == "outer"
    assert await of(mesh, "99@here", "2@here") is None
    assert await of(mesh, "99@there", "30@there") is None
    assert await of(mesh) is None


async def test_hooks_alone_tell_it_too(mesh: Mesh) -> None:
    hooked = await begin(mesh, processes=("30@here", "2@here"))
    assert await of(mesh, "99@here", "30@here", "2@here") == hooked.agent_name
    assert await of(mesh, "99@here", "2@here") is None, "the terminal is a person's"
