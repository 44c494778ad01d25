"""Heartbeats keep what an agent holds; reconciling takes back what nobody keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import Mesh, Refused
from repomesh.domains.overview.batches.operations import BatchDone, BatchStep, RunBatch
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.operations import registry

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
    await mesh.server.implicit_heartbeats.stop()  # the signs of life that come behind the answers
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


async def test_what_the_owners_token_took_for_an_agent_lasts_until_its_time(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()
    alice = await mesh.agent("alice")
    answer = await mesh.request(
        "POST",
        "/v1/locks/acquire",
        headers={"X-Repomesh-Agent": "alice"},
        json={"resources": ["src/a.py"], "ttl_s": 600},
    )
    assert answer.status_code == 200
    await alice.post("/v1/locks/acquire", resources=["src/b.py"], ttl_s=600)
    await mesh.server.implicit_heartbeats.stop()
    mesh.clock.advance(91)
    found = await mesh.post("/v1/recovery/reconcile")
    assert found["inactive_agent_ids"] == [alice.id]
    assert [one["resource"] for one in found["leases"]] == ["src/b.py"]
    mesh.clock.advance(510)
    found = await mesh.post("/v1/recovery/reconcile")
    assert [(one["resource"], one["reason"]) for one in found["leases"]] == [("src/a.py", "expired")]


async def test_retiring_an_agent_frees_at_once_what_it_held(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()  # nothing here waits for it
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task = await mesh.post("/v1/tasks", goal="left behind", scope=["src/"])
    await alice.post("/v1/tasks/next/claim", take_locks=True)
    await alice.post("/v1/locks/acquire", resources=["docs/a.md"])
    key = {"Idempotency-Key": "once"}
    retired = await mesh.post("/v1/agents/alice/retire", headers=key)
    events = await mesh.events(newest=True)
    assert await mesh.post("/v1/agents/alice/retire", headers=key) == retired
    assert await mesh.events(newest=True) == events, "a replay causes nothing"
    by_type = {event["type"]: event for event in events}
    chain = [by_type[type_] for type_ in ("task.reclaimed", "lease.reclaimed", "agent.retired")]
    assert [event["causation_id"] for event in chain] == [chain[1]["id"], chain[2]["id"], None]
    assert len([event for event in events if event["type"] == "task.reclaimed"]) == 1
    assert (await mesh.get(f"/v1/tasks/{task['id']}"))["status"] == "open"
    assert len((await bob.post("/v1/tasks/next/claim", take_locks=True))["locks"]) == 1
    await bob.post("/v1/locks/acquire", resources=["docs/a.md"])


async def test_a_task_is_open_as_soon_as_its_holder_is_told_that_its_claim_lapsed(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()
    alice = await mesh.agent("alice")
    task = await mesh.post("/v1/tasks", goal="left behind")
    await alice.post("/v1/tasks/next/claim", ttl_s=5)
    mesh.clock.advance(6)
    await alice.post("/v1/agents/register")
    assert (await mesh.get(f"/v1/tasks/{task['id']}"))["status"] == "open"


async def test_each_step_of_a_batch_sees_what_the_steps_before_it_caused(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task = await mesh.post("/v1/tasks", goal="to be handed on")
    await alice.post("/v1/tasks/next/claim")
    workspace_id = (await mesh.get("/v1/workspace"))["id"]
    owner = replace(system_caller(workspace_id), agent_id=bob.id, agent_name="bob")
    steps = (
        BatchStep(operation="agent.retire", request={"agent_id": "alice"}),
        BatchStep(operation="task.show", request={"task_id": task["id"]}),
        BatchStep(operation="task.claim", request={}),
    )
    batch, context = registry["batch.run"], RequestContext()
    done = await mesh.server.dispatch(batch, owner, RunBatch(steps=steps), context)
    assert isinstance(done.result, BatchDone)
    shown, claimed = done.result.results[1:]
    assert isinstance(shown, dict)
    assert isinstance(claimed, dict)
    assert (shown["status"], shown["agent_name"]) == ("open", None)
    assert claimed["fencing_token"] == 2
