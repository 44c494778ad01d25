"""Tasks whose holder is gone are taken back, with what was locked for them, and given to others."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def claim(agent: Speaker, task_id: str = "next", **options: Any) -> dict[str, Any]:
    claimed: dict[str, Any] = await agent.post(f"/v1/tasks/{task_id}/claim", **options)
    return claimed


async def types(mesh: Mesh, task_id: str) -> list[str]:
    log = await mesh.events(task_id=task_id, type="task")
    return [event["type"] for event in log]


async def test_an_expired_claim_is_taken_back_and_its_holder_refused(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made = await mesh.post("/v1/tasks", goal="lost", scope=["src/"])
    lost = await claim(alice, ttl_s=10, take_locks=True)
    mesh.clock.advance(11)
    await mesh.sweep()
    task = await mesh.get(f"/v1/tasks/{made['id']}")
    assert (task["status"], task["attempts"], task["agent_id"]) == ("open", 1, None)
    assert task["history"][0]["outcome"] == "lost"
    assert "expired" in task["reason"]
    reclaimed = (await mesh.events(type="task.reclaimed"))[-1]
    assert reclaimed["data"]["agent_name"] == "alice"
    assert reclaimed["data"]["task"]["status"] == "open"
    held = await claim(bob, take_locks=True)
    assert [lock["resource"] for lock in held["locks"]] == ["src/**"]
    with pytest.raises(Refused) as refused:
        await alice.post(f"/v1/tasks/{made['id']}/complete", fencing_token=lost["fencing_token"])
    assert refused.value.code == "stale_fencing_token"


async def test_an_expired_claim_is_free_for_the_next_without_a_sweep(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    best = await mesh.post("/v1/tasks", goal="best", priority=9)
    await mesh.post("/v1/tasks", goal="second best")
    await claim(alice, ttl_s=10)
    mesh.clock.advance(11)
    taken = await claim(bob, ttl_s=10)
    assert (taken["task"]["id"], taken["task"]["attempts"]) == (best["id"], 1)
    mesh.clock.advance(11)
    assert (await claim(carol, best["id"]))["task"]["attempts"] == 2
    assert await types(mesh, best["id"]) == [
        "task.created",
        "task.claimed",
        "task.reclaimed",
        "task.claimed",
        "task.reclaimed",
        "task.claimed",
    ]


async def test_a_task_that_loses_its_holder_too_often_fails_with_the_reasons(mesh: Mesh) -> None:
    made = await mesh.post("/v1/tasks", goal="cursed", max_attempts=2)
    for name in ("alice", "bob"):
        await claim(await mesh.agent(name), made["id"], ttl_s=10)
        mesh.clock.advance(11)
        await mesh.sweep()
    task = await mesh.get(f"/v1/tasks/{made['id']}")
    assert (task["status"], task["attempts"]) == ("failed", 2)
    assert task["reason"].startswith("lost its holder 2 times: alice: its lease expired")
    assert "bob: its lease expired" in task["reason"]
    assert (await types(mesh, made["id"]))[-2:] == ["task.reclaimed", "task.failed"]


async def test_a_silent_agent_loses_its_task_to_another(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made = await mesh.post("/v1/tasks", goal="left behind", scope=["src/app.py"])
    await claim(alice, ttl_s=3600, take_locks=True)
    await mesh.server.implicit_heartbeats.stop()  # the sign of life that comes behind the answer
    mesh.clock.advance(91)
    await bob.post(f"/v1/agents/{bob.id}/heartbeat")
    await mesh.sweep()
    task = await mesh.get(f"/v1/tasks/{made['id']}")
    assert (task["status"], task["attempts"]) == ("open", 1)
    assert "silent" in task["reason"]
    assert (await claim(bob, take_locks=True))["task"]["id"] == made["id"]


async def test_a_revoked_token_gives_back_what_its_agent_held(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await mesh.post("/v1/tasks", goal="taken away")
    await claim(alice)
    await mesh.delete(f"/v1/tokens/{(alice.registration or {})['token_id']}")
    await mesh.sweep()
    task = await mesh.get(f"/v1/tasks/{made['id']}")
    assert (task["status"], task["history"][0]["outcome"]) == ("open", "lost")


async def test_an_instance_that_takes_over_goes_on_with_the_claim(mesh: Mesh) -> None:
    await mesh.post("/v1/tasks", goal="go on")
    first = await mesh.agent("alice", instance_id="one")
    claimed = await claim(first)
    second = await mesh.agent("alice", instance_id="two", force=True)
    await mesh.sweep()
    path = f"/v1/tasks/{claimed['task']['id']}/complete"
    done = await second.post(path, fencing_token=claimed["fencing_token"])
    assert done["status"] == "done"


async def test_a_sweep_that_finds_nothing_tells_nothing(mesh: Mesh) -> None:
    await mesh.post("/v1/tasks", goal="fine")
    await claim(await mesh.agent("alice"))
    before = await mesh.events()
    await mesh.sweep()
    assert await mesh.events() == before
