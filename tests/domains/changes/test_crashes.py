"""A worker that dies at any of its steps: another one goes on, and each change lands exactly once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import chain
from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.adapters.git.file_locks import branch_lock
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.queue.claims import ready_lanes
from repomesh.jobs.merge_queue import moving
from repomesh.jobs.merge_queue.worker import MergeQueue
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.operations import registry
from repomesh.store.base import Store
from repositories import Scratch

pytestmark = pytest.mark.anyio
CHECKED = '[[checks]]\nname = "exists"\ncommand = "test -f a.txt"\n'


class Died(BaseException):
    """The process is gone: nothing of it runs any more."""


def worker_of(mesh: Mesh) -> MergeQueue:
    return MergeQueue(registry, mesh.server.dispatch, mesh.server.store, mesh.server.bus)


def mortal(worker: MergeQueue, steps: int, *, after: bool) -> None:
    """Let a worker die before its step of this number, or after it: a transaction, or work on a thread."""
    count = 0

    def counted(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def step(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count > steps or (count == steps and not after):
                raise Died
            result = await work(*arguments)
            if count == steps:
                raise Died
            return result

        return step

    worker.commands.call = counted(worker.commands.call)  # type: ignore[method-assign]
    on_thread = counted(worker.repositories.on_thread)
    worker.repositories.on_thread = on_thread  # type: ignore[assignment,method-assign]


async def bury(worker: MergeQueue) -> None:
    """Let go of what the kernel takes from a process that has died."""
    repositories = worker.repositories
    for repository in repositories._repositories.values():
        repository.close()
    for tree in chain.from_iterable(repositories._check_trees.values()):
        os.close(tree.lock)
    repositories._threads.shutdown(wait=True)


async def run(worker: MergeQueue, mesh: Mesh) -> None:
    """Rounds of a worker until no lane is due."""
    await run_lanes(worker, mesh.server.store)


async def run_lanes(worker: MergeQueue, store: Store, workspace_id: str | None = None) -> None:
    """Rounds of a worker until no lane is due, of one workspace or of all."""
    while lanes := [
        lane
        for lane in await store.read(system_caller(""), ready_lanes)
        if workspace_id in (None, lane.workspace_id)
    ]:
        lane = await worker.take(lanes[0])
        if lane is not None:
            await worker.effect(lane)
            await worker.settle(lane, None)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_may_die_at_each_of_its_steps(queue: Mesh, scratch: Scratch, after: bool) -> None:
    await queue.server.merge_queue.stop()
    alice = await queue.agent("alice")
    scratch.commit({"repomesh.toml": CHECKED}, on=scratch.head(), branch="main")
    steps = 0
    while True:
        steps += 1
        name = f"n{steps}"
        tip = scratch.git("rev-parse", "main")
        scratch.commit({f"{name}.txt": name}, on=tip, branch=name)
        made = await alice.post("/v1/changes", summary=name, branch=name)
        first = worker_of(queue)
        mortal(first, steps, after=after)
        try:
            await run(first, queue)
        except Died:
            pass
        else:
            break
        finally:
            await bury(first)
        queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
        second = worker_of(queue)
        await run(second, queue)
        await second.stop()
        change = await queue.get(f"/v1/changes/{made['id']}")
        assert change["state"] == "landed", (steps, change)
        assert scratch.git("rev-parse", "main") == change["landed_commit"], steps
        assert scratch.git("rev-parse", "main^") == tip, steps
        landed = [
            event
            for event in await queue.events(type="change.landed")
            if event["subject"].endswith(made["id"])
        ]
        assert len(landed) == 1, steps
    assert steps > 10


async def test_a_move_of_the_branch_is_settled_before_the_worker_stops(queue: Mesh, scratch: Scratch) -> None:
    """The thread on which git moves the branch can't be stopped: the lane is released behind it."""
    alice = await queue.agent("alice")
    scratch.git("checkout", "-q", "main")
    scratch.git("config", "filter.slow.smudge", "sleep 1; cat")
    scratch.commit({".gitattributes": "*.txt filter=slow\n"})
    scratch.commit({"new.txt": "new\n"}, on=scratch.head(), branch="new")
    made = await alice.post("/v1/changes", summary="new", branch="new")
    for _ in range(1_000):
        if (await queue.get(f"/v1/changes/{made['id']}"))["state"] == "landing":
            break
        await asyncio.sleep(0.01)
    await queue.server.merge_queue.stop()
    change = await queue.get(f"/v1/changes/{made['id']}")
    assert (change["state"], change["landed_commit"]) == ("landed", scratch.git("rev-parse", "main"))


async def test_the_next_start_of_a_killed_server_need_not_wait(queue: Mesh, scratch: Scratch) -> None:
    await queue.server.merge_queue.stop()
    alice = await queue.agent("alice")
    scratch.commit({"n": "n"}, on=scratch.head(), branch="work")
    made = await alice.post("/v1/changes", summary="n", branch="work")
    first = worker_of(queue)
    mortal(first, 2, after=True)
    with pytest.raises(Died):
        await run(first, queue)
    await bury(first)
    second = worker_of(queue)
    assert await second.due()
    await run(second, queue)
    await second.stop()
    assert (await queue.get(f"/v1/changes/{made['id']}"))["state"] == "landed"


async def test_an_answer_is_given_again_whatever_became_of_the_branch(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.commit({"n": "n"}, on=scratch.head(), branch="work")
    key = {"Idempotency-Key": "n-1"}
    made = await alice.post("/v1/changes", headers=key, summary="n", branch="work")
    pins = scratch.git("for-each-ref", "refs/repomesh/")
    scratch.git("branch", "-D", "work")
    assert await alice.post("/v1/changes", headers=key, summary="n", branch="work") == made
    assert scratch.git("for-each-ref", "refs/repomesh/") == pins


async def test_a_worker_that_wakes_up_late_lands_nothing_behind_the_back_of_another(
    queue: Mesh, scratch: Scratch
) -> None:
    """It slept between the note of its landing and the move, for longer than its claim."""
    await queue.server.merge_queue.stop()
    alice = await queue.agent("alice")
    scratch.commit({"n": "n"}, on=scratch.head(), branch="work")
    made = await alice.post("/v1/changes", summary="n", branch="work")
    first, second = worker_of(queue), worker_of(queue)
    asleep, awake = asyncio.Event(), asyncio.Event()
    on_thread = first.repositories.on_thread

    async def drowsy(work: partial[Any]) -> Any:
        if work.func is moving.move:
            asleep.set()
            await awake.wait()
        return await on_thread(work)

    first.repositories.on_thread = drowsy  # type: ignore[assignment,method-assign]
    one = asyncio.create_task(run(first, queue))
    await asleep.wait()
    queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
    other = asyncio.create_task(run(second, queue))
    await asyncio.sleep(0.3)  # for as far as it gets
    with pytest.raises(Refused) as refused:
        await alice.post(f"/v1/changes/{made['id']}/withdraw")
    assert refused.value.code == "change_state"
    awake.set()
    await asyncio.gather(one, other)
    change = await queue.get(f"/v1/changes/{made['id']}")
    assert (change["state"], change["landed_commit"]) == ("landed", scratch.git("rev-parse", "main"))
    assert scratch.git("rev-list", "--count", "main") == "2"
    await first.stop()
    await second.stop()


async def test_a_branch_that_another_process_moves_is_waited_for(
    queue: Mesh, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.server.merge_queue.stop()
    alice = await queue.agent("alice")
    scratch.commit({"n": "n"}, on=scratch.head(), branch="work")
    made = await alice.post("/v1/changes", summary="n", branch="work")
    worker = worker_of(queue)
    repository = Repository(scratch.path, scratch.path.parent / "private")
    with branch_lock(repository, "main"):
        with monkeypatch.context() as patch:
            patch.setattr(limits, "QUEUE_LOCK_S", 0.1)
            await run(worker, queue)
        change = await queue.get(f"/v1/changes/{made['id']}")
        assert (change["state"], change["waits_for"]) == ("waiting", "retry")
        assert "another process" in change["reason"]
    repository.close()
    queue.clock.advance(60)
    await run(worker, queue)
    await worker.stop()
    assert (await queue.get(f"/v1/changes/{made['id']}"))["state"] == "landed"
