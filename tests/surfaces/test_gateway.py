"""`Gateway.call`: the one way in for every surface."""

from __future__ import annotations

import asyncio

import pytest

from harness import Mesh
from repomesh.kernel.errors import RepomeshError, TokenRevoked, Unauthenticated, Unavailable
from repomesh.kernel.identity import RequestContext
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
