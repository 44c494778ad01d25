"""What waits in the name of a token ends with it, and what it was worth is told."""

from __future__ import annotations

import asyncio

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def refusal(speaker: Speaker) -> str:
    with pytest.raises(Refused) as refused:
        await speaker.get("/v1/messages/wait", timeout_s=40)
    return f"{refused.value.status} {refused.value.code}"


async def begun(mesh: Mesh) -> None:
    async with asyncio.timeout(20):
        while not mesh.server.dispatch._waiting_tasks:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_revoking_a_token_ends_its_waits(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(refusal(alice))
        await begun(mesh)
        await mesh.delete(f"/v1/tokens/{(alice.registration or {})['token_id']}")
    assert wait.result() == "401 token_revoked"


async def test_removing_a_workspace_ends_the_waits_in_it(mesh: Mesh) -> None:
    made = await mesh.post("/v1/workspaces", name="elsewhere")
    owner = Speaker(mesh.http, made["token"])
    joined = await owner.post("/v1/agents/register", name="alice")
    alice = Speaker(mesh.http, joined["token"])
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(refusal(alice))
        await begun(mesh)
        await mesh.delete(f"/v1/workspaces/{made['workspace']['id']}")
    assert wait.result() == "401 token_revoked"


async def test_a_token_that_goes_on_is_not_disturbed_by_anothers_end(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(alice.get("/v1/messages/wait", timeout_s=40))
        await begun(mesh)
        await mesh.delete(f"/v1/tokens/{(bob.registration or {})['token_id']}")
        await mesh.post("/v1/messages", {"X-Repomesh-Agent": "bob"}, to=["alice"], body="still here")
    assert wait.result()["items"][0]["body"] == "still here"
