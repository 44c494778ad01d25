"""The pattern of background jobs: what was taken is settled once, whatever becomes of its effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from repomesh.jobs.job import Job
from repomesh.kernel import limits
from repomesh.kernel.job_policy import JobPolicy

pytestmark = pytest.mark.anyio


class Parcels(Job[str, str, str]):
    """Sends parcels; `send` is what the world outside does with one."""

    name = "parcels"

    def __init__(
        self, policy: JobPolicy, names: Sequence[str], send: Callable[[str], asyncio.Future[str]]
    ) -> None:
        super().__init__(policy, every_s=60.0)
        self.waiting = list(names)
        self.send = send
        self.settled: list[tuple[str, str | BaseException]] = []

    async def due(self) -> Sequence[str]:
        return list(self.waiting)

    def key(self, due: str) -> str:
        return due

    async def take(self, due: str) -> str | None:
        if due not in self.waiting:
            return None
        self.waiting.remove(due)
        return due

    async def effect(self, taken: str) -> str:
        return await self.send(taken)

    async def settle(self, taken: str, outcome: str | BaseException) -> bool:
        self.settled.append((taken, outcome))
        return False


class World:
    """Holds each parcel until it is let through."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Future[str]] = {}

    def send(self, name: str) -> asyncio.Future[str]:
        self.under_way[name] = asyncio.get_running_loop().create_future()
        return self.under_way[name]


async def turns() -> None:
    """Let every task go on as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_so_many_run_at_once_and_the_others_when_there_is_room() -> None:
    world = World()
    job = Parcels(JobPolicy(concurrency=2, limit_s=60), ["a", "b", "c"], world.send)
    job.start()
    await turns()
    assert set(world.under_way) == {"a", "b"}
    world.under_way["b"].set_result("arrived")
    await turns()
    assert set(world.under_way) == {"a", "b", "c"}
    assert job.settled == [("b", "arrived")]
    for name in "ac":
        world.under_way[name].set_result("arrived")
    await job.run_once()
    assert sorted(name for name, _ in job.settled) == ["a", "b", "c"]
    await job.stop()


async def test_a_piece_is_worked_on_by_one_task_at_a_time() -> None:
    world = World()
    job = Parcels(JobPolicy(concurrency=5, limit_s=60), ["a"], world.send)
    job.start()
    await turns()
    first = world.under_way["a"]
    job.waiting.append("a")  # as a row whose lease ran out would be due again
    job.wake()
    await turns()
    assert world.under_way["a"] is first
    first.set_result("arrived")
    await turns()
    assert world.under_way["a"] is not first  # once more, behind the first
    await job.stop()


async def test_an_effect_that_takes_too_long_is_settled_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_POLL_S", 0.0)
    job = Parcels(JobPolicy(concurrency=1, limit_s=0.01), ["a"], World().send)
    await job.run_once()
    ((name, outcome),) = job.settled
    assert (name, type(outcome)) == ("a", TimeoutError)


async def test_what_fails_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_POLL_S", 0.0)

    def send(name: str) -> asyncio.Future[str]:
        if name == "odd":
            raise KeyError(name)
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        done.set_result("arrived")
        return done

    job = Parcels(JobPolicy(concurrency=5, limit_s=60), ["odd", "sound"], send)
    await job.run_once()
    assert {name: type(outcome) for name, outcome in job.settled} == {"odd": KeyError, "sound": str}
    assert job.failure() is None


async def test_a_stop_settles_what_was_under_way() -> None:
    job = Parcels(JobPolicy(concurrency=1, limit_s=60), ["a"], World().send)
    job.start()
    await turns()
    await job.stop()
    ((name, outcome),) = job.settled
    assert (name, type(outcome)) == ("a", asyncio.CancelledError)


def test_waits_grow_by_the_policy_until_the_last_attempt() -> None:
    policy = JobPolicy(concurrency=1, limit_s=1, waits_s=(10.0, 60.0), jitter=0.5)
    assert policy.attempts == 3
    assert [policy.next_wait_s(failed, 0.0) for failed in (1, 2, 3)] == [10.0, 60.0, None]
    assert policy.next_wait_s(1, 1.0) == 15.0
