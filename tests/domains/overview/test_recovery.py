"""Heartbeats keep what an agent holds; reconciling takes back what nobody keeps."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused

pytestmark = pytest.mark.anyio


async def test_a_heartbeat_answers_what_waits_and_keeps_what_is_held(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    beat = f"/v1/agents/{alice.id}/heartbeat"
    idle = await alice.post(beat)
    assert (idle["unread"], idle["next_lease_expiry"]) == (0, None)
    await bob.post("/v1/messages", to=["alice"], subject="Hello", body="there")
    await mesh.post("/v1/tasks", goal="long", scope=["src/"])
    held = await alice.post("/v1/tasks/next/claim", ttl_s=60, take_locks=True)
    for _ in range(3):
        mesh.clock.advance(50)
        pulse = await alice.post(beat)
        await mesh.sweep()
    assert pulse["unread"] == 1
    assert pulse["next_lease_expiry"] > held["expires_at"]
    path = f"/v1/tasks/{held['task']['id']}/complete"
    assert (await alice.post(path, fencing_token=held["fencing_token"]))["status"] == "done"


@pytest.mark.settings(max_hold_s=100)
async def test_heartbeats_hold_no_longer_than_the_server_allows(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.post("/v1/tasks", goal="for ever")
    held = await alice.post("/v1/tasks/next/claim", ttl_s=60)
    for _ in range(3):
        mesh.clock.advance(40)
        await alice.post(f"/v1/agents/{alice.id}/heartbeat")
    with pytest.raises(Refused) as refused:
        await alice.post(f"/v1/tasks/{held['task']['id']}/complete", fencing_token=held["fencing_token"])
    assert refused.value.code == "lease_expired"


async def test_reconciling_takes_back_and_says_from_whom_and_why(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()  # it would be first
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    made = await mesh.post("/v1/tasks", goal="left behind", scope=["src/"])
    await alice.post("/v1/tasks/next/claim", ttl_s=3600, take_locks=True)
    await bob.post("/v1/locks/acquire", resources=["docs/a.md"], ttl_s=60)
    await mesh.server.presence.stop()  # the signs of life that come behind the answers
    mesh.clock.advance(91)
    await bob.post(f"/v1/agents/{bob.id}/heartbeat")
    found = await carol.post("/v1/recovery/reconcile")
    assert found["inactive_agent_ids"] == [alice.id]
    assert {(one["agent_name"], one["resource"], one["reason"]) for one in found["leases"]} == {
        ("alice", made["id"], "abandoned"),
        ("alice", "src/**", "abandoned"),
        ("bob", "docs/a.md", "expired"),
    }
    assert [(one["goal"], one["agent_name"], one["status"]) for one in found["tasks"]] == [
        ("left behind", "alice", "open")
    ]
    again = await carol.post("/v1/recovery/reconcile")
    assert (again["inactive_agent_ids"], again["leases"], again["tasks"]) == ([], [], [])


async def test_an_observer_reconciles_nothing(mesh: Mesh) -> None:
    watcher = await mesh.observer()
    with pytest.raises(Refused) as refused:
        await watcher.post("/v1/recovery/reconcile")
    assert refused.value.status == 403
