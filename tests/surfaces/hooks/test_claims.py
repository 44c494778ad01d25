"""Whose agent a program becomes from a process that another principal claimed before: its own, always."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from hooking import Cli
from repomesh.kernel import processes
from tooling import Session

pytestmark = pytest.mark.anyio
PROCESS = f"4194001@{processes.machine()}"
ABOVE = {"X-Repomesh-Process": f"{PROCESS},1@{processes.machine()}"}
CLI = "claude"
PROGRAM = "claude-code"

Who = Callable[[Mesh], Awaitable[Speaker]]


async def owner(mesh: Mesh) -> Speaker:
    return mesh


async def _with_token(mesh: Mesh, agent: str) -> Speaker:
    made = await mesh.post("/v1/tokens", role="agent", agent=agent)
    return Speaker(mesh.http, made["token"], agent, made["agent_id"])


async def agent_a(mesh: Mesh) -> Speaker:
    return await _with_token(mesh, "a")


async def agent_b(mesh: Mesh) -> Speaker:
    return await _with_token(mesh, "b")


async def elsewhere(mesh: Mesh) -> Speaker:
    made = await mesh.post("/v1/workspaces", name="elsewhere")
    return Speaker(mesh.http, made["token"], "owner elsewhere")


async def hook(mesh: Mesh, who: Speaker, session_id: str, wish: str | None = None) -> Any:
    cli = Cli(
        mesh,
        CLI,
        session_id,
        headers=ABOVE | ({"X-Repomesh-Agent": wish} if wish else {}),
        token=who.token,
    )
    return await cli.call("SessionStart", source="startup")


async def by_hook(mesh: Mesh, who: Speaker, number: int) -> str:
    session_id = f"{who.name or 'owner'}-{number}".replace(" ", "-")
    answer = await hook(mesh, who, session_id)
    assert answer.status_code in (200, 204), answer.text
    found = (await who.get("/v1/cli-sessions", live=False))["items"]
    return str(next(one["agent_name"] for one in found if one["session_id"] == session_id))


async def by_registering(mesh: Mesh, who: Speaker, number: int) -> str:
    made = await who.post(
        "/v1/agents/register",
        program=PROGRAM,
        process_id=PROCESS,
        instance_id=f"run:{(who.name or 'owner').replace(' ', '-')}-{number}",
        force=who.id != "",
    )
    return str(made["agent"]["name"])


async def over_mcp(mesh: Mesh, who: Speaker, number: int) -> str:
    session = await Session.open(who)
    made = await session.call("register_agent", program=PROGRAM)
    return str(made["agent"]["name"])


PRINCIPALS: dict[str, Who] = {"owner": owner, "a": agent_a, "b": agent_b, "elsewhere": elsewhere}
CLAIMS = {"hook": by_hook, "register": by_registering}
WAYS = CLAIMS | {"mcp": over_mcp}
OWN = {"owner": PROGRAM, "a": "a", "b": "b", "elsewhere": PROGRAM}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("second", PRINCIPALS)
@pytest.mark.parametrize("first", PRINCIPALS)
async def test_a_claim_binds_its_own_principal_alone(
    mesh: Mesh, first: str, second: str, claim: str, way: str
) -> None:
    one = await PRINCIPALS[first](mesh)
    other = one if first == second else await PRINCIPALS[second](mesh)
    assert await CLAIMS[claim](mesh, one, 1) == OWN[first]
    joined = await WAYS[way](mesh, other, 2)
    if way == "mcp" and one is other and one.id == "":  # it names no process, so it is another program
        assert joined == f"{PROGRAM}-2"
    else:
        assert joined == OWN[second]


@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_name_is_had_from_a_process_that_an_agent_claimed(mesh: Mesh, claim: str) -> None:
    await CLAIMS[claim](mesh, await agent_a(mesh), 1)
    answer = await hook(mesh, mesh, "wishing", wish="victim")
    assert "asked to be" not in answer.text
    sessions = {one["session_id"]: one for one in (await mesh.get("/v1/cli-sessions"))["items"]}
    assert sessions["wishing"]["agent_name"] == "victim"


async def test_a_name_that_is_not_given_is_said(mesh: Mesh) -> None:
    await mesh.agent("ann")
    here = processes.name_of(os.getpid())
    run = Cli(mesh, CLI, "wishing", headers={"X-Repomesh-Process": here, "X-Repomesh-Agent": "ann"})
    assert "you asked to be 'ann', which was not possible now: you are 'ann-2'" in await run.told("start")
    fields = {"name": "ann", "next_if_active": True, "program": PROGRAM}
    third = await mesh.post("/v1/agents/register", **fields, process_id="5000@elsewhere")
    assert (third["agent"]["name"], third["name_not_given"]) == ("ann-3", "ann")
    joined = await mesh.post("/v1/agents/register", **fields, process_id=here)
    assert (joined["agent"]["name"], joined["name_not_given"]) == ("ann-2", "ann")


async def test_a_name_in_another_case_is_the_name_that_was_asked_for(mesh: Mesh) -> None:
    await mesh.agent("Bob")
    again = await mesh.post("/v1/agents/register", name="BOB", force=True)
    assert (again["agent"]["name"], again["name_not_given"]) == ("Bob", None)


async def test_a_session_that_an_agent_took_is_its_owners_again_when_that_resumes_it(mesh: Mesh) -> None:
    thief = await agent_a(mesh)
    assert (await hook(mesh, mesh, "s1", wish="victim")).status_code == 200
    await Cli(mesh, CLI, "s1", headers=ABOVE).hook("end", reason="other")
    assert (await hook(mesh, thief, "s1")).status_code == 200
    assert await agent_of(mesh, "s1") == "a"
    resumed = Cli(mesh, CLI, "s1", headers=ABOVE | {"X-Repomesh-Agent": "victim"})
    await resumed.hook("prompt", prompt="Go on.")
    assert await agent_of(mesh, "s1") == "victim"


async def test_an_agent_does_not_move_the_owners_session_to_another_process(mesh: Mesh) -> None:
    here = {"X-Repomesh-Process": processes.name_of(os.getpid())}
    await Cli(mesh, CLI, "s1", headers=here).hook("start")
    name = await agent_of(mesh, "s1")
    same = await _with_token(mesh, name)
    assert (await hook(mesh, same, "s1")).status_code == 200
    await by_hook(mesh, same, 2)
    fresh = await hook(mesh, mesh, "fresh")
    assert fresh.status_code == 200
    assert await agent_of(mesh, "fresh") != name
    again = Cli(mesh, CLI, "s3", headers=here)
    await again.hook("start")
    assert await agent_of(mesh, "s3") == name


async def test_the_owners_claim_of_a_process_comes_before_an_agents(mesh: Mesh) -> None:
    await by_registering(mesh, await agent_a(mesh), 1)
    assert await found(mesh) == "a"
    await by_hook(mesh, mesh, 2)
    assert await found(mesh) == PROGRAM


async def test_an_observer_claims_nothing(mesh: Mesh) -> None:
    watching = await mesh.observer()
    assert (await hook(mesh, watching, "s1")).status_code == 403
    with pytest.raises(Refused) as refused:
        await by_registering(mesh, watching, 1)
    assert refused.value.code == "forbidden"
    assert await found(mesh) is None


async def agent_of(mesh: Mesh, session_id: str) -> str:
    sessions = (await mesh.get("/v1/cli-sessions", live=False))["items"]
    return str(next(one["agent_name"] for one in sessions if one["session_id"] == session_id))


async def found(mesh: Mesh) -> str | None:
    agent = (await mesh.post("/v1/agents/of-process", processes=[PROCESS]))["agent"]
    return agent["name"] if agent else None
