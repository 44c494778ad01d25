"""The room for large bodies, and the turn to work on one."""

from __future__ import annotations

import asyncio

import pytest

from repomesh.kernel import limits
from repomesh.kernel.computing import CallerTurns, ComputeQueue
from repomesh.kernel.errors import TooManyCalls
from repomesh.kernel.large_bodies import LargeBodies, TooManyLargeBodies

pytestmark = pytest.mark.anyio
LARGE = limits.LARGE_BODY_BYTES_MIN + 1


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_large_bodies_hold_so_much_and_no_more_and_small_ones_nothing() -> None:
    bodies = LargeBodies()
    with bodies.share() as large, bodies.share() as small:
        large.count(limits.LARGE_BODIES_BYTES_MAX)
        small.count(limits.LARGE_BODY_BYTES_MIN)
        assert bodies.held_bytes == limits.LARGE_BODIES_BYTES_MAX
        with pytest.raises(TooManyLargeBodies):
            small.count(1)
    assert bodies.held_bytes == 0


async def test_large_bodies_are_worked_on_one_after_another_and_small_ones_beside_them() -> None:
    bodies = LargeBodies()
    order: list[str] = []

    async def work(name: str) -> None:
        async with bodies.turn(LARGE):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with bodies.turn(LARGE):
        async with bodies.turn(limits.LARGE_BODY_BYTES_MIN):
            waiting = [asyncio.ensure_future(work(name)) for name in "ab"]
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*waiting)
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_turn_that_takes_too_long_is_given_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGE_BODY_TURN_S", 0.01)
    bodies = LargeBodies()
    async with bodies.turn(LARGE), bodies.turn(LARGE):
        pass
    async with bodies.turn(LARGE):
        pass


async def test_more_than_a_bounded_number_waits_for_no_turn() -> None:
    turns = ComputeQueue(1, 1, "searches")

    async def wait() -> None:
        async with turns.turn("ann"):
            pass

    async with turns.turn("ann"):
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        with pytest.raises(TooManyCalls):
            await wait()
    await waiting
    await wait()


async def test_one_caller_has_one_turn_at_a_time() -> None:
    """So that many searches of one do not stop the first of another."""
    turns = ComputeQueue(2, 100, "searches")
    order, release = list[str](), asyncio.Event()

    async def search(caller: str) -> None:
        async with turns.turn(caller):
            order.append(caller)
            await release.wait()

    tasks = [asyncio.ensure_future(search("ann")) for _ in range(5)]
    for caller in ("bob", "cid"):
        tasks.append(asyncio.ensure_future(search(caller)))
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert order == ["ann", "bob"]
    release.set()
    await asyncio.gather(*tasks)
    assert order[2] == "cid" or order[3] == "cid"
    assert not turns._callers._callers


async def test_each_caller_has_a_few_turns_and_takes_none_of_others() -> None:
    turns = CallerTurns(2, 3, "reads")
    order, release = list[str](), asyncio.Event()

    async def read(caller: str) -> None:
        async with turns.turn(caller):
            order.append(caller)
            await release.wait()

    tasks = [asyncio.ensure_future(read(caller)) for caller in ("ann",) * 5 + ("bob",)]
    await asyncio.sleep(0.01)
    assert order == ["ann", "ann", "bob"]
    with pytest.raises(TooManyCalls) as refused:
        await read("ann")
    assert "3 of your reads" in refused.value.message
    tasks[3].cancel()  # its place is free for another
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(read("ann")))
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(order) == 6
    assert not turns._callers
