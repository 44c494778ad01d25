"""What goes wrong with one entry ends that entry: workers go on, and do not end silently."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from harness import Mesh
from rawsocket import until
from repomesh.adapters.bus.local import LocalBus
from repomesh.adapters.contents.folder import FolderContents
from repomesh.domains.meetings.tables import meetings
from repomesh.jobs.contents import ContentSweeper
from repomesh.jobs.periodic import Periodic
from repomesh.kernel import limits
from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.store.transaction import Transaction
from repomesh.surfaces.revocations import Revocations

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])


class Unsteady(Periodic):
    """Fails in its first passes, each time in another way."""

    name = "unsteady"

    def __init__(self) -> None:
        super().__init__(0.001)
        self.passes = 0
        self.steady = asyncio.Event()

    async def run_once(self) -> None:
        self.passes += 1
        if self.passes == 1:
            raise ValueError("of one row")
        if self.passes == 2:
            raise asyncio.CancelledError  # of something that it waited for
        self.steady.set()


async def test_a_worker_goes_on_after_a_pass_that_failed_or_was_cancelled() -> None:
    worker = Unsteady()
    worker.start()
    async with asyncio.timeout(10):
        await worker.steady.wait()
    await worker.stop()
    assert worker.failure() is None


@on_sqlite
@pytest.mark.settings(sweep_every_s=0.01)
async def test_a_worker_that_fails_makes_the_server_not_ready_until_it_does_its_work(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_ready() -> bool:
        return (await mesh.http.get("/readyz")).status_code == 200

    async def is_not_ready() -> bool:
        return not await is_ready()

    monkeypatch.setattr(limits, "WORKER_RETRIES_S", (0.01,))
    await until(is_ready)
    table = "workspaces"
    await _rename(
        mesh, table, "elsewhere"
    )  # every pass begins with this table, and the page does not read it
    await until(is_not_ready)
    answer = await mesh.http.get("/readyz")
    assert "background worker" in answer.json()["detail"]
    await _rename(mesh, "elsewhere", table)
    await until(is_ready)


@on_sqlite
@pytest.mark.settings(sweep_every_s=0.01)
async def test_a_worker_whose_task_ends_is_started_again(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WORKER_RETRIES_S", (0.01,))
    for worker in (mesh.server.sweeper, mesh.server.webhooks):
        ended = worker._task
        assert ended is not None
        ended.cancel()  # by something else than stop()
        await asyncio.wait([ended])
        assert f"'{worker.name}' failed once" in str(worker.failure())

        async def works(worker: Any = worker, ended: Any = ended) -> bool:
            return worker._task is not ended and worker.failure() is None

        await until(works)


async def _rename(mesh: Mesh, table: str, to: str) -> None:
    def rename(tx: Transaction) -> None:
        tx.execute(text("PRAGMA legacy_alter_table = ON"))
        tx.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))

    await mesh.server.store.write(system_caller(""), RequestContext(), rename)


async def test_a_listener_that_fails_keeps_no_hint_from_the_others() -> None:
    bus, heard = LocalBus(), asyncio.Event()

    def broken(_workspace_id: str, _seq: int) -> None:
        raise KeyError("odd")

    bus.subscribe(broken)
    bus.subscribe(lambda _workspace_id, _seq: heard.set())
    await bus.start()
    bus.publish("ws", 1)
    async with asyncio.timeout(10):
        await heard.wait()


async def test_a_meeting_that_cannot_be_settled_holds_up_no_other(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made: list[dict[str, Any]] = []
    for topic in ("broken", "sound"):
        fields = {"topic": topic, "participant_ids": [alice.id, bob.id], "opinion_timeout_s": 10}
        made.append(await mesh.post("/v1/meetings", **fields))
        await mesh.post(f"/v1/meetings/{made[-1]['id']}/start")
    workspace = (await mesh.get("/v1/workspaces"))["items"][0]
    caller = system_caller(workspace["id"])
    broken = update(meetings).where(meetings.c.id == made[0]["id"]).values(flow={"phase": "no such"})
    mesh.server.store.write_now(caller, lambda tx: tx.execute(broken) and None)
    before = await mesh.get(f"/v1/meetings/{made[1]['id']}")
    mesh.clock.advance(11)
    await mesh.server.sweeper.run_once()
    assert (await mesh.get(f"/v1/meetings/{made[1]['id']}"))["version"] > before["version"]


@on_sqlite
async def test_a_revocation_that_makes_no_sense_or_a_cut_that_fails_leaves_the_others(mesh: Mesh) -> None:
    revocations = Revocations(mesh.server.tails, mesh.server.store)
    cut: list[str] = []

    class Event:
        def __init__(self, json: str) -> None:
            self.json, self.id, self.seq = json, "x", 1

    def broken() -> None:
        raise RuntimeError("gone")

    revocations._cuts["one"] |= {broken, lambda: cut.append("one")}
    revocations._cut_revoked([Event("{"), Event('{"data": {}}'), Event('{"data": {"token_id": "one"}}')])  # type: ignore[list-item]
    assert cut == ["one"]


@on_sqlite
async def test_a_file_that_cannot_be_removed_keeps_no_other(mesh: Mesh, tmp_path: Path) -> None:
    contents = FolderContents(tmp_path)
    for content in (b"first", b"second"):
        contents.keep(hashlib.sha256(content).hexdigest(), content)
    paths = sorted((tmp_path / CONTENTS).glob("*/*"))
    blocked = paths[0]
    blocked.unlink()
    blocked.mkdir()  # no file can be removed here
    gone = await ContentSweeper(mesh.server.store, contents, kept_s=-60.0).run_once()
    assert (gone, blocked.exists(), paths[1].exists()) == (1, True, False)
