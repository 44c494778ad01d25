"""Whoever can't have a lock at once may queue for it: first come, first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.leases import resources
from repomesh.domains.leases.resources import Resource

pytestmark = pytest.mark.anyio


async def lock(who: Speaker, *wanted: str, **fields: Any) -> Any:
    return await who.post("/v1/locks/acquire", resources=list(wanted), **fields)


async def release(who: Speaker, *wanted: str) -> None:
    await who.post("/v1/locks/release", resources=list(wanted))


async def until_queued(mesh: Mesh, count: int) -> None:
    """Wait until so many requests have ever begun to wait."""
    while len(await mesh.events(type="lock.wait_started")) < count:  # noqa: ASYNC110  (as any client would)
        await asyncio.sleep(0.005)


@asynccontextmanager
async def queued(mesh: Mesh, who: Speaker, *wanted: str, **fields: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A request that waits in the queue."""
    before = len(await mesh.events(type="lock.wait_started"))
    task = asyncio.create_task(lock(who, *wanted, **{"wait_s": 30.0} | fields))
    await until_queued(mesh, before + 1)
    try:
        yield task
    finally:
        task.cancel()


async def reasons(mesh: Mesh) -> list[str]:
    ended = await mesh.events(type=["lock.wait_granted", "lock.wait_abandoned"])
    return [event["data"]["reason"] for event in ended]


async def test_the_queue_is_served_in_the_order_of_asking(mesh: Mesh) -> None:
    holder = await mesh.agent("holder")
    first, second, third = [await mesh.agent(name) for name in ("first", "second", "third")]
    await lock(holder, "src/**")
    async with (
        queued(mesh, first, "src/a.py") as one,
        queued(mesh, second, "src/*.py") as two,
        queued(mesh, third, "src/a.py") as three,
    ):
        await release(holder, "src/**")
        granted = await one
        assert not two.done()
        assert not three.done()
        await release(first, "src/a.py")
        assert (await two)["fencing_token"] > granted["fencing_token"]
        assert not three.done()
        await release(second, "src/*.py")
        assert (await three)["fencing_token"] > (await two)["fencing_token"]
    assert await reasons(mesh) == ["granted"] * 3


async def test_who_does_not_wait_does_not_jump_the_queue(mesh: Mesh) -> None:
    holder, first, late = [await mesh.agent(name) for name in ("holder", "first", "late")]
    await lock(holder, "a.py")
    async with queued(mesh, first, "a.py", "b.py") as one:
        with pytest.raises(Refused) as refused:
            await lock(late, "b.py")
        conflict = refused.value.problem["conflicts"][0]
        assert (conflict["holder_name"], conflict["waiting"]) == ("first", True)
        await lock(late, "c.py")
        await release(holder, "a.py")
        assert len((await one)["locks"]) == 2


async def test_a_holder_is_not_held_up_by_who_waits_for_it(mesh: Mesh) -> None:
    holder, first = await mesh.agent("holder"), await mesh.agent("first")
    await lock(holder, "a.py", mode="shared")
    async with queued(mesh, first, "a.py", "b.py") as one:
        await lock(holder, "b.py")
        await lock(holder, "a.py")
        await release(holder, "a.py", "b.py")
        await one


async def test_who_gives_up_is_told_why_and_frees_its_place(mesh: Mesh) -> None:
    holder, first, second = [await mesh.agent(name) for name in ("holder", "first", "second")]
    await lock(holder, "a.py", note="nearly done")
    async with (
        queued(mesh, first, "a.py", "b.py", wait_s=0.3) as one,
        queued(mesh, second, "b.py") as two,
    ):
        with pytest.raises(Refused) as refused:
            await one
        assert refused.value.code == "lock_conflict"
        assert refused.value.problem["conflicts"][0]["note"] == "nearly done"
        assert (await two)["locks"][0]["resource"] == "b.py"
    assert await reasons(mesh) == ["gave_up", "granted"]


async def test_who_goes_away_frees_its_place(mesh: Mesh) -> None:
    holder, first, second = [await mesh.agent(name) for name in ("holder", "first", "second")]
    await lock(holder, "a.py")
    async with queued(mesh, first, "a.py", "b.py") as one, queued(mesh, second, "b.py") as two:
        one.cancel()
        await two


async def test_a_lock_that_runs_out_goes_to_who_waits(mesh: Mesh) -> None:
    holder, first = await mesh.agent("holder"), await mesh.agent("first")
    await lock(holder, "a.py", ttl_s=20)
    async with queued(mesh, first, "a.py") as one:
        mesh.clock.advance(21)
        await mesh.sweep()
        assert (await one)["locks"][0]["resource"] == "a.py"


async def test_a_place_survives_a_restart_and_a_forgotten_one_does_not_last(mesh: Mesh) -> None:
    holder, first, second = [await mesh.agent(name) for name in ("holder", "first", "second")]
    await lock(holder, "a.py")
    async with queued(mesh, first, "a.py"):
        mesh.server.dispatch.interrupt()  # the server stops; the row stays
    async with queued(mesh, second, "a.py") as two:
        again = asyncio.create_task(lock(first, "./a.py", wait_s=30.0))
        await release(holder, "a.py")
        await again
        assert not two.done()
    assert len(await mesh.events(type="lock.wait_started")) == 2


async def test_what_nobody_waits_for_any_more_is_swept(mesh: Mesh) -> None:
    holder, first, second = [await mesh.agent(name) for name in ("holder", "first", "second")]
    await lock(holder, "a.py")
    async with queued(mesh, first, "a.py", "b.py"):
        mesh.server.dispatch.interrupt()
    mesh.clock.advance(31)
    await mesh.sweep()
    assert await reasons(mesh) == ["expired"]
    await lock(second, "b.py")


async def test_a_replayed_wait_is_answered_once(mesh: Mesh) -> None:
    holder, first = await mesh.agent("holder"), await mesh.agent("first")
    await lock(holder, "a.py")
    key = {"Idempotency-Key": "once"}
    async with queued(mesh, first, "a.py", headers=key) as one:
        await release(holder, "a.py")
        granted = await one
    assert await lock(first, "a.py", wait_s=30.0, headers=key) == granted


async def test_sixteen_agents_on_overlapping_globs_never_hold_the_same(mesh: Mesh) -> None:
    globs = ("src/**", "src/*.py", "src/a.py", "src/*/a.py", "**/a.py", "src/b/", "name:x")
    agents = [await mesh.agent(f"agent-{number}") for number in range(16)]

    async def work(agent: Speaker, number: int) -> None:
        for turn in range(2):
            wanted = globs[(number + turn) % len(globs)]
            granted = None
            while granted is None:  # on a slow disk the longest wait may be too short
                with suppress(Refused):
                    granted = await lock(agent, wanted, wait_s=50.0)
            await asyncio.sleep(0.001)
            await release(agent, wanted)

    await asyncio.gather(*(work(agent, number) for number, agent in enumerate(agents)))
    assert await _never_two_holders(mesh) == 2 * 16 * 2


async def _never_two_holders(mesh: Mesh) -> int:
    """Replay the log and check each grant against what is held at that time; answers how many events."""
    holding: dict[str, Resource] = {}
    seen, after, newest = 0, 0, 0
    while events := (await mesh.get("/v1/events", type="lease", after=after, limit=200))["items"]:
        for event in events:
            (lease,) = event["data"]["leases"]
            seen, after = seen + 1, event["seq"]
            if event["type"] != "lease.acquired":
                del holding[lease["id"]]
                continue
            assert lease["fencing_token"] > newest
            newest = lease["fencing_token"]
            wanted = resources.parse(lease["resource"])[0]
            assert not any(wanted.overlaps(other.type, other.text) for other in holding.values())
            holding[lease["id"]] = wanted
    return seen
