"""What is wrong with one change, or in its way, holds that change and no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh
from queueing import landed, submit
from repomesh.domains.changes.building import stacks as building
from repomesh.jobs.merge_queue import worker
from repositories import Scratch

pytestmark = pytest.mark.anyio


async def test_a_change_on_which_the_queue_fails_waits_and_the_others_land(
    queue: Mesh, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await queue.agent("alice")
    await queue.post("/v1/queue/pause", reason="wait")
    base, build = scratch.head(), building.build

    def failing(repository: Any, change: Any, *rest: Any) -> Any:
        if change.summary == "bad":
            raise ZeroDivisionError("a fault")
        return build(repository, change, *rest)

    monkeypatch.setattr(building, "build", failing)
    ids = []
    for name in ("one", "bad", "two"):
        scratch.commit({f"{name}.txt": name}, on=base, branch=name)
        ids.append((await submit(alice, branch=name, summary=name))["id"])
    await queue.post("/v1/queue/resume")
    one, bad, two = await landed(queue, *ids)
    assert (one["state"], two["state"]) == ("landed", "landed")
    assert (bad["state"], bad["waits_for"]) == ("waiting", "retry")
    assert "ZeroDivisionError: a fault" in bad["reason"]
    monkeypatch.undo()
    queue.clock.advance(60)
    [bad] = await landed(queue, bad["id"])
    assert bad["state"] == "landed"


async def test_a_fault_of_the_queue_is_shown_and_tried_again_less_and_less_often(
    queue: Mesh, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await queue.agent("alice")

    async def failing(*_arguments: Any) -> Any:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(worker.MergeQueue, "_verify", failing)
    scratch.commit({"one.txt": "1"}, on=scratch.head(), branch="one")
    made = await submit(alice, branch="one")
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["waits_for"], change["error_class"]) == (
        "waiting",
        "retry",
        "infrastructure",
    )
    assert "ZeroDivisionError: a fault" in change["reason"]
    monkeypatch.undo()
    queue.clock.advance(60)
    for _ in range(100):  # the worker that failed rests for a moment before it looks again
        [change] = await landed(queue, made["id"])
        if change["state"] == "landed":
            break
        await asyncio.sleep(0.1)
    assert change["state"] == "landed"


async def test_edits_in_the_way_of_one_change_hold_that_one_alone(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.git("checkout", "-q", "main")
    base = scratch.head()
    scratch.commit({"first.txt": "1"}, on=base, branch="first")
    await landed(queue, (await submit(alice, branch="first"))["id"])
    await queue.post("/v1/queue/pause", reason="wait")
    ids = []
    for name in ("one.txt", "a.txt", "src/b.py", "two.txt"):
        scratch.commit({name: "new\n"}, on=base, branch=name)
        ids.append((await submit(alice, branch=name))["id"])
    (scratch.path / "a.txt").write_text("my own edit\n")
    await queue.post("/v1/queue/resume")
    changes = await landed(queue, *ids)
    assert [change["state"] for change in changes] == ["landed", "waiting", "landed", "landed"]
    assert changes[1]["waits_for"] == "work_tree"
    assert (scratch.path / "a.txt").read_text() == "my own edit\n"


async def test_the_checks_of_a_change_that_is_withdrawn_end_soon(
    queue: Mesh, scratch: Scratch, tmp_path: Path
) -> None:
    """Else they hold the lane for hours, for a change that can't land any more."""
    alice = await queue.agent("alice")
    mark = tmp_path / "begun"
    check = f"if test -e slow.txt; then touch {mark}; sleep 60; fi"
    toml = f'[queue]\nsandbox = "off"\n[[checks]]\nname = "slow"\ncommand = "{check}"\ntimeout = 60\n'
    base = scratch.commit({"repomesh.toml": toml}, on=scratch.git("rev-parse", "main"), branch="main")
    await queue.post("/v1/queue/pause", reason="wait")
    ids = []
    for name in ("slow", "fast"):
        scratch.commit({f"{name}.txt": "1"}, on=base, branch=name)
        ids.append((await submit(alice, branch=name))["id"])
    await queue.post("/v1/queue/resume")
    async with asyncio.timeout(30):
        landing = asyncio.create_task(landed(queue, *ids))
        while not mark.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
        await alice.post(f"/v1/changes/{ids[0]}/withdraw", reason="a mistake")
        slow, fast = await landing
    assert (slow["state"], fast["state"]) == ("withdrawn", "landed")
