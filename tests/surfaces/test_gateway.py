"""`Gateway.call`: the one way in for every surface."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness import Mesh
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError, TokenRevoked, Unauthenticated, Unavailable
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.surfaces.gateway import Credentials

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_it_takes_what_a_request_shows_or_whom_it_was_found_to_be(mesh: Mesh) -> None:
    gateway, bob = mesh.server.gateway, await mesh.agent("bob")
    shown = Credentials(f"Bearer {bob.token}")
    caller = await gateway.authenticate(shown.authorization)
    by_credentials = await gateway.call("agent.list", shown, {}, RequestContext())
    by_caller = await gateway.call(gateway.registry["agent.list"], caller, {}, RequestContext())
    # The sign of life that the first call was is noted behind its answer.
    first, second = (found.result.model_dump(mode="json") for found in (by_credentials, by_caller))
    for item in first["items"] + second["items"]:
        item.pop("last_seen_at")
    assert first == second
    named = await gateway.call(
        "message.inbox", Credentials(f"Bearer {mesh.token}", "bob"), {}, RequestContext()
    )
    assert named.result.items == []  # type: ignore[attr-defined]
    with pytest.raises(Unauthenticated):
        await gateway.call("agent.list", Credentials("Bearer nonsense"), {}, RequestContext())


async def waited(mesh: Mesh, credentials: Credentials, context: RequestContext) -> RepomeshError:
    """Why a wait for messages ended, which nobody sends."""
    with pytest.raises(RepomeshError) as ended:
        await mesh.server.gateway.call("message.wait", credentials, {"timeout_s": 40.0}, context)
    assert mesh.server.dispatch._waiting_tasks == set()
    return ended.value


async def until_waiting(mesh: Mesh, wait: asyncio.Task[RepomeshError]) -> None:
    while not mesh.server.dispatch._waiting_tasks:  # the server announces it to nobody
        assert not wait.done(), wait.result()
        await asyncio.sleep(0.01)


async def test_a_wait_ends_when_nobody_waits_for_its_answer(mesh: Mesh) -> None:
    bob, gone = await mesh.agent("bob"), asyncio.Event()
    credentials, context = Credentials(f"Bearer {bob.token}"), RequestContext(gone=gone.wait)
    wait = asyncio.create_task(waited(mesh, credentials, context))
    await until_waiting(mesh, wait)
    gone.set()
    assert type(await wait) is Unavailable


@pytest.mark.parametrize("whose", ["caller", "carrier"])
async def test_a_wait_ends_with_either_token_that_it_depends_on(mesh: Mesh, whose: str) -> None:
    bob, carol = await mesh.agent("bob"), await mesh.agent("carol")
    token_caller = await mesh.server.authenticate(f"Bearer {carol.token}")
    context = RequestContext(token_caller=token_caller)
    wait = asyncio.create_task(waited(mesh, Credentials(f"Bearer {bob.token}"), context))
    await until_waiting(mesh, wait)
    caller = await mesh.server.authenticate(f"Bearer {bob.token}")
    token_id = caller.token_id if whose == "caller" else token_caller.token_id
    await mesh.delete(f"/v1/tokens/{token_id}")
    assert isinstance(await wait, TokenRevoked)


async def test_reads_of_one_agent_leave_threads_to_others(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    eve, bob = await mesh.agent("eve"), await mesh.agent("bob")
    await asyncio.gather(eve.get("/v1/tasks"), bob.get("/v1/tasks"))  # their tokens are known now
    read, release, begun = mesh.server.store.read, asyncio.Event(), Counter[str | None]()

    async def held(caller: Caller, work: Callable[[Any], Any]) -> Any:
        begun[caller.agent_name] += 1
        if caller.agent_name == "eve":
            await release.wait()
        return await read(caller, work)

    monkeypatch.setattr(mesh.server.store, "read", held)
    reads = [asyncio.ensure_future(eve.get("/v1/tasks")) for _ in range(40)]
    await bob.get("/v1/tasks")
    assert begun["eve"] == limits.READS_PER_CALLER < limits.READ_THREADS
    release.set()
    assert len(await asyncio.gather(*reads)) == 40


async def test_preparations_of_one_agent_run_one_after_another(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    turns = mesh.server.dispatch._prepare_threads["short"].turns
    async with turns.turn(alice.id):
        sending = asyncio.ensure_future(alice.post("/v1/messages", to=["alice"], body="word " * 5_000))
        await (await mesh.agent("bob")).post("/v1/messages", to=["alice"], body="word " * 5_000)
        assert not sending.done()
    await sending
