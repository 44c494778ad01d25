"""Only workspaces in which something is due are visited, when it is due, and by one server."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from harness import Mesh, Speaker
from receiver import eventually
from repomesh.app import Server
from repomesh.jobs.due_work import DueWork
from repomesh.jobs.sweeper import CONSULTING_SWEEPS, PLANNING_SWEEPS, SWEEPS
from repomesh.kernel.identity import Caller, system_caller
from repomesh.kernel.settings import Settings
from repomesh.operations import registry
from repomesh.store.log import events
from repomesh.store.tables import metadata
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio
SEVERAL = 12
_LOOKS = ("delivery.undecided",)  # a query that the transcripts' job asks


def test_whatever_is_swept_declares_when_it_is_due() -> None:
    declared = {operation.name for operation in registry if operation.due}
    assert declared == {*SWEEPS, *CONSULTING_SWEEPS, *PLANNING_SWEEPS, *_LOOKS}


@pytest.fixture
def visits(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """How often the server dispatched each operation by itself in each workspace."""
    counted: Counter[tuple[str, str]] = Counter()
    authorise_and_run = mesh.server.dispatch._authorise_and_run

    async def count(operation: Any, caller: Caller, *rest: Any) -> Any:
        if caller == system_caller(caller.workspace_id):
            counted[caller.workspace_id, operation.name] += 1
        return await authorise_and_run(operation, caller, *rest)

    monkeypatch.setattr(mesh.server.dispatch, "_authorise_and_run", count)
    return counted


async def _workspaces(mesh: Mesh, count: int) -> list[tuple[str, Speaker]]:
    made = [await mesh.post("/v1/workspaces", name=f"other-{number}") for number in range(count)]
    return [(one["workspace"]["id"], Speaker(mesh.http, one["token"])) for one in made]


async def _lock(owner: Speaker, ttl_s: float) -> None:
    made = await owner.post("/v1/agents/register", name="holder")
    holder = Speaker(owner.http, made["token"])
    await holder.post("/v1/locks/acquire", resources=["src/app.py"], ttl_s=ttl_s)


async def test_a_workspace_without_anything_due_is_not_visited(
    mesh: Mesh, visits: Counter[tuple[str, str]]
) -> None:
    others = await _workspaces(mesh, SEVERAL)
    await _lock(others[3][1], ttl_s=30)
    await mesh.server.implicit_heartbeats.stop()  # heartbeats renew
    await mesh.sweep()
    visits.clear()
    mesh.clock.advance(20)
    await mesh.sweep()
    assert not visits
    mesh.clock.advance(11)
    await mesh.sweep()
    assert set(visits) == {(others[3][0], "recovery.reconcile")}


@pytest.mark.settings(sweep_every_s=3600.0)
async def test_what_will_be_due_within_a_pause_ends_it(mesh: Mesh) -> None:
    """Nobody wakes the sweeper, which would otherwise rest for an hour."""
    await mesh.server.sweeper.stop()
    ((_, other),) = await _workspaces(mesh, 1)
    await _lock(other, ttl_s=1)
    mesh.server.sweeper.start()

    async def is_expired() -> bool:
        return bool((await other.get("/v1/events", type="lease.expired"))["items"])

    await eventually(is_expired)


async def test_what_a_command_leaves_to_do_is_found_though_no_time_is_set_for_it(mesh: Mesh) -> None:
    due = DueWork([registry["cli_session.sweep"], registry["workspace.close"]], mesh.server.store, 1.0)
    ((workspace_id, _),) = await _workspaces(mesh, 1)
    await mesh.server.sweeper.stop()
    assert not (await due.look()).from_throttled
    await mesh.delete(f"/v1/workspaces/{workspace_id}")
    assert not (await due.look()).from_throttled  # it looks seldom, unless it is told that something happened
    due.note_change()
    assert (await due.look()).from_throttled == {(workspace_id, "workspace.close")}


async def test_a_look_says_when_the_next_thing_is_due(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()
    ((_, other),) = await _workspaces(mesh, 1)
    await _lock(other, ttl_s=30)
    lease = (await other.get("/v1/locks"))["items"][0]
    near = DueWork([registry["recovery.reconcile"]], mesh.server.store, 10.0)
    assert (await near.look()).next_at is None
    far = await DueWork([registry["recovery.reconcile"]], mesh.server.store, 60.0).look()
    assert far.next_at is not None
    # Looking at the locks was a sign of life, which puts the end off by a moment.
    assert abs(far.next_at - datetime.fromisoformat(lease["expires_at"])) < timedelta(seconds=10)
    assert not far.from_every_look


@pytest.mark.settings(sweep_every_s=1.0)  # tests let the server count as there otherwise
async def test_an_absence_of_the_server_leaves_nobody_due_for_a_full_limit(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()
    await mesh.agent("alice")
    await mesh.settled()
    silent = DueWork([registry["recovery.reconcile"]], mesh.server.store, 1.0)
    limit = mesh.server.settings.agent_inactive_after_s
    mesh.clock.advance(10 * limit)
    await mesh.server.uptime.tick()
    assert not (await silent.look()).from_every_look
    for _ in range(4):  # in steps that are no absences
        mesh.clock.advance(limit / 4)
        await mesh.server.uptime.tick()
        await silent.look()
    mesh.clock.advance(1)
    assert len((await silent.look()).from_every_look) == 1


async def test_two_servers_on_one_database_share_what_is_due(
    mesh: Mesh, settings: Settings, engine: str, visits: Counter[tuple[str, str]]
) -> None:
    if engine == "sqlite":
        pytest.skip("one process serves a data folder")
    others = await _workspaces(mesh, 3 * SEVERAL)
    await mesh.server.sweeper.stop()
    for _, owner in others:
        await _lock(owner, ttl_s=30)
    await mesh.server.implicit_heartbeats.stop()
    second = Server(settings, mesh.clock)
    async with second.without_workers():
        await second.uptime.tick()
        visits.clear()
        mesh.clock.advance(20)
        await asyncio.gather(mesh.server.uptime.tick(), second.uptime.tick())
        mesh.clock.advance(11)
        await asyncio.gather(mesh.server.sweeper.run_once(), second.sweeper.run_once())
    first_visited = len(visits)
    expired = await _expired(mesh)
    assert (len(expired), set(expired.values())) == (len(others), {1})
    assert 0 < first_visited < len(others)


async def _expired(mesh: Mesh) -> Counter[str]:
    chosen = select(events.c.workspace_id).where(events.c.type == "lease.expired")
    return Counter(
        await mesh.server.store.read(system_caller(""), lambda tx: tx.execute(chosen).scalars().all())
    )


async def test_a_due_query_reads_no_table_from_end_to_end(mesh: Mesh, engine: str) -> None:
    if engine != "sqlite":
        pytest.skip("the plans of one engine are enough to see that an index fits")
    whole = await mesh.server.store.read(system_caller(""), _read_whole)
    # Of these there are few: a row for each workspace, and webhooks, which are bounded for each of them.
    assert {table for _, table in whole} <= {"counters", "workspaces", "webhooks"}


def _read_whole(tx: Transaction) -> set[tuple[str, str]]:
    """(operation, table) of the due queries that read a table row by row without an index."""
    found: set[tuple[str, str]] = set()
    for operation in registry:
        for due in operation.due:
            compiled = due.statement(tx.settings).compile(tx.connection)
            plan = tx.connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {compiled}", (0,) * len(compiled.positiontup or ())
            )
            for *_, step in plan:
                words = step.split()
                if words[0] == "SCAN" and "INDEX" not in words and words[1] in metadata.tables:
                    found.add((operation.name, words[1]))
    return found
