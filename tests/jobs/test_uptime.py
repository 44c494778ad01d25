"""The server's own absence is nobody's silence: stopped, killed, suspended or cut off, then back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from clocks import MovableClock
from harness import Mesh, Refused, Speaker
from repomesh.app import Server, open_workspace
from repomesh.domains.messaging.messages.models import WaitForMessages
from repomesh.domains.messaging.waits.models import BeginWait, WaitChosen
from repomesh.domains.webhooks.tables import webhooks
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.domains.workspaces.server_downtime import last_absence, silent_before
from repomesh.jobs.uptime import UptimeClock
from repomesh.kernel import limits
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ports import ServerWasDown
from repomesh.kernel.settings import Settings
from repomesh.operations import registry
from repomesh.store import folder

pytestmark = [pytest.mark.anyio, pytest.mark.settings(sweep_every_s=1.0)]
Served = Callable[[], AbstractAsyncContextManager[Mesh]]
NIGHT_S = 8 * 3_600.0


@pytest.fixture
def served(settings: Settings, clock: MovableClock) -> Served:
    """Starts a server, and stops it at the end of the block."""
    if settings.database_url is not None:
        clock.governs(settings.database_url)

    @asynccontextmanager
    async def serve() -> AsyncIterator[Mesh]:
        server = Server(settings, clock)
        open_workspace(server.store, settings.data, "test", None)
        token = folder.read_secret(settings.data / folder.TOKEN)
        assert token is not None
        async with server.running():
            transport = httpx.ASGITransport(server.asgi)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=60
            ) as http:
                yield Mesh(server, http, token, clock)

    return serve


def again(mesh: Mesh, who: Speaker) -> Speaker:
    """The same agent, that speaks to the server that was started anew."""
    return Speaker(mesh.http, who.token, who.name, who.id)


async def lock(who: Speaker, **fields: Any) -> Any:
    return await who.post("/v1/locks/acquire", resources=["src/app.py"], **fields)


async def pass_time(mesh: Mesh, seconds: float) -> None:
    """Let time pass while the server runs: the sweeper looks all the time."""
    step_s = limits.ABSENCE_S - 5
    while seconds > 0:
        mesh.clock.advance(min(step_s, seconds))
        seconds -= step_s
        await mesh.sweep()


async def work_on(mesh: Mesh) -> tuple[Speaker, dict[str, Any]]:
    """An agent at work on a task that may be lost but once."""
    alice = await mesh.agent("alice")
    await mesh.post("/v1/tasks", goal="long", max_attempts=1)
    held = await alice.post("/v1/tasks/next/claim", ttl_s=60)
    await lock(alice, ttl_s=30)
    await mesh.settled()
    return alice, held


async def finish(who: Speaker, held: dict[str, Any]) -> str:
    path = f"/v1/tasks/{held['task']['id']}/complete"
    return str((await who.post(path, fencing_token=held["fencing_token"]))["status"])


async def test_who_works_goes_on_after_a_night_without_a_server(served: Served) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
        bob = await mesh.agent("bob")
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        with pytest.raises(Refused) as refused:
            await lock(again(mesh, bob))
        assert refused.value.code == "lock_conflict"
        await mesh.sweep()
        task = await mesh.get(f"/v1/tasks/{held['task']['id']}")
        assert (task["status"], task["attempts"]) == ("claimed", 0)
        assert await finish(again(mesh, alice), held) == "done"


async def test_so_it_does_after_the_server_was_killed(served: Served) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
        mesh.server.store.close()  # nothing is written down any more
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        await mesh.sweep()
        assert await finish(again(mesh, alice), held) == "done"


@pytest.mark.parametrize("first", ["an agent", "a reader", "the sweeper"])
async def test_so_it_does_after_the_machine_was_suspended_whoever_comes_first(
    served: Served, first: str
) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
        bob = await mesh.agent("bob")
        mesh.clock.advance(NIGHT_S)
        if first == "an agent":
            with pytest.raises(Refused):
                await lock(bob)
        elif first == "a reader":
            assert [one["agent_name"] for one in (await mesh.get("/v1/locks"))["items"]] == ["alice"]
        await mesh.sweep()
        assert await finish(alice, held) == "done"


async def test_the_grace_is_one_limit_and_then_who_is_silent_loses_what_it_holds(served: Served) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        limit_s = mesh.server.settings.agent_inactive_after_s
        await pass_time(mesh, limit_s - 30)
        assert (await mesh.get(f"/v1/agents/{alice.id}"))["status"] == "active"
        await pass_time(mesh, 60)
        assert (await mesh.get(f"/v1/agents/{alice.id}"))["status"] == "inactive"
        assert (await mesh.get(f"/v1/tasks/{held['task']['id']}"))["status"] == "failed"


async def test_leases_get_a_heartbeats_limit_and_no_more_than_their_own_length(served: Served) -> None:
    async with served() as mesh:
        alice = await mesh.agent("alice")
        for name, ttl_s in (("short", 10), ("long", 3_600)):
            await alice.post("/v1/locks/acquire", resources=[f"port:{name}"], ttl_s=ttl_s)
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        locks = (await mesh.get("/v1/locks"))["items"]
        absence = mesh.server.store.read_now(home(mesh), last_absence)
        assert absence is not None
        left = {
            one["resource"]: datetime.fromisoformat(one["expires_at"]) - absence.returned_at for one in locks
        }
        limit_s = mesh.server.settings.agent_inactive_after_s
        assert left == {"port:short": timedelta(seconds=10), "port:long": timedelta(seconds=limit_s)}


async def test_what_ran_out_before_the_server_left_stays_lost(served: Served) -> None:
    async with served() as mesh:
        alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
        await lock(alice, ttl_s=5)
        mesh.clock.advance(6)
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        assert await lock(again(mesh, bob))


async def test_nobody_takes_over_from_who_was_there_when_the_server_left(served: Served) -> None:
    async with served() as mesh:
        await mesh.agent("alice")
        await mesh.settled()
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        with pytest.raises(Refused) as refused:
            await mesh.agent("alice", takeover_if_stale=True)
        assert refused.value.code == "agent_active_elsewhere"


async def test_people_have_as_long_to_answer_as_they_had(served: Served) -> None:
    async with served() as mesh:
        alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
        ticket = await alice.post("/v1/questions", question="Which?", default="80", deadline_s=60.0)
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        await mesh.sweep()
        path = f"/v1/questions/{ticket['id']}"
        shown = await again(mesh, jane).get(path)
        assert shown["status"] == "open"
        later = datetime.fromisoformat(shown["deadline_at"]) - datetime.fromisoformat(ticket["deadline_at"])
        assert later >= timedelta(seconds=NIGHT_S)
        extended = await mesh.events(type="question.extended")
        assert [one["data"]["question"]["deadline_at"] for one in extended] == [shown["deadline_at"]]
        await pass_time(mesh, 90)
        assert (await again(mesh, jane).get(path))["status"] == "defaulted"


async def test_messages_are_reported_as_unacknowledged_by_as_much_later(served: Served) -> None:
    async with served() as mesh:
        alice, _bob = await mesh.agent("alice"), await mesh.agent("bob")
        await alice.post("/v1/messages", to=["bob"], body="Do it", ack_timeout_s=60)
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        await mesh.sweep()
        assert await mesh.events(type="message.undelivered") == []
        await pass_time(mesh, 90)
        assert len(await mesh.events(type="message.undelivered")) == 1


async def test_what_is_kept_for_a_while_is_kept_for_as_much_longer(served: Served) -> None:
    key = {"Idempotency-Key": "once"}
    async with served() as mesh:
        made = await mesh.post("/v1/webhooks", url="https://receiver.invalid/hook")
        wait = BeginWait(wanted=WaitForMessages(), wait_s=60)
        alice = await mesh.agent("alice")
        begun = await mesh.server.dispatch(
            registry["wait.begin"], acting(mesh, alice), wait, RequestContext()
        )
        await mesh.post("/v1/tasks", goal="once", headers=key)
        failing = datetime(2026, 1, 1, tzinfo=UTC)
        mesh.server.store.write_now(home(mesh), lambda tx: tx.change(_FAIL.values(failing_since=failing)))
    mesh.clock.advance(limits.IDEMPOTENCY_KEPT_S + 60)
    async with served() as mesh:
        await mesh.sweep()
        answer = await mesh.request("POST", "/v1/tasks", json={"goal": "once"}, headers=key)
        assert "idempotent-replayed" in answer.headers
        look = WaitChosen(wait_id=begun.result.id)
        seen = await mesh.server.dispatch(registry["wait.look"], acting(mesh, alice), look, RequestContext())
        assert seen.result.status == "over"  # and not forgotten
        since = (await mesh.get(f"/v1/webhooks/{made['webhook']['id']}"))["failing_since"]
        assert datetime.fromisoformat(since) > failing + timedelta(seconds=limits.IDEMPOTENCY_KEPT_S)


_FAIL = update(webhooks)


def acting(mesh: Mesh, who: Speaker) -> Any:
    return replace(home(mesh), agent_id=who.id, agent_name=who.name, agent_type="ai")


async def test_a_crash_right_after_the_start_takes_no_grace_away(served: Served) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
    for _ in range(3):
        mesh.clock.advance(NIGHT_S)
        async with served() as mesh:
            await mesh.sweep()
            mesh.server.store.close()
    async with served() as mesh:
        await mesh.sweep()
        assert await finish(again(mesh, alice), held) == "done"


async def test_a_wall_clock_that_jumps_ahead_is_an_absence_too(served: Served) -> None:
    async with served() as mesh:
        alice, held = await work_on(mesh)
        mesh.clock.put_back(-NIGHT_S)
        await mesh.sweep()
        assert await finish(alice, held) == "done"


@pytest.mark.parametrize("engine", ["postgresql"])
async def test_one_living_node_is_enough(served: Served) -> None:
    async with served() as mesh, served() as other:
        alice = await mesh.agent("alice")
        await mesh.settled()
        await other.server.sweeper.stop()
        for _ in range(6):  # the other node is suspended meanwhile
            mesh.clock.advance(limits.ABSENCE_S - 5)
            await mesh.sweep()
        assert (await other.get(f"/v1/agents/{alice.id}"))["status"] == "inactive"
        assert mesh.server.store.read_now(home(mesh), last_absence) is None


async def test_a_gap_is_an_absence_from_its_limit_on(server: Server) -> None:
    uptime = UptimeClock(server.store)
    await uptime.tick()
    begun = server.store.now()
    for gap_s in (0.0, limits.ABSENCE_S - 1):  # a second in which this test may be slow
        uptime.check(SimpleNamespace(now=begun + timedelta(seconds=gap_s)))
    with pytest.raises(ServerWasDown):
        uptime.check(SimpleNamespace(now=begun + timedelta(seconds=2 * limits.ABSENCE_S)))


async def test_silence_is_counted_without_the_absence(served: Served) -> None:
    async with served() as mesh:
        await mesh.agent("alice")
    mesh.clock.advance(NIGHT_S)
    async with served() as mesh:
        found = mesh.server.store.read_now(
            home(mesh), lambda tx: (tx.now, last_absence(tx), silent_before(tx, 600), silent_before(tx, 1e-6))
        )
        now, absence, soon, long_ago = found
        assert absence is not None
        assert absence.length >= timedelta(seconds=NIGHT_S)
        assert soon == absence.left_at - timedelta(seconds=600)
        assert long_ago == now - timedelta(microseconds=1)  # the grace of so short a limit is over


def home(mesh: Mesh) -> Any:
    found = mesh.server.store.read_now(system_caller(""), home_workspace)
    assert found is not None
    return system_caller(found.id)
