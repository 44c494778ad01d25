"""How far each message got is known, and its sender is told when it did not arrive."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.messaging.delivery.models import MarkInjected
from repomesh.domains.messaging.messages.envelope import new_boundary
from repomesh.kernel.identity import Caller, RequestContext, Role
from talking import bodies, receipt, say, settled

pytestmark = pytest.mark.anyio


async def injected(mesh: Mesh, agent: Speaker, *message_ids: str) -> list[str]:
    """Tell that messages were put before an agent's model, as the surfaces do that know it."""
    operation = mesh.server.gateway.registry["delivery.mark_injected"]
    workspace_id = (await mesh.get("/v1/workspace"))["id"]
    token_id = (agent.registration or {})["token_id"]
    caller = Caller(workspace_id, Role.AGENT, token_id, agent.id, agent.name)
    request = MarkInjected(message_ids=message_ids, boundary=new_boundary())
    answer = await mesh.server.dispatch(operation, caller, request, RequestContext())
    return answer.result.message_ids  # type: ignore[attr-defined]


async def test_each_step_is_noted_once_and_implies_those_before_it(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    sent = await say(alice, "bob")
    times = ["offered_at", "injected_at", "read_at", "acked_at"]

    async def now() -> tuple[str, list[bool]]:
        found = await receipt(alice, sent["id"], bob)
        return found["status"], [found[name] is not None for name in times]

    assert await now() == ("stored", [False] * 4)
    await bob.get("/v1/messages/inbox")
    await settled(mesh)
    assert await now() == ("offered", [True, False, False, False])
    assert await injected(mesh, bob, sent["id"]) == [sent["id"]]
    assert await now() == ("injected", [True, True, False, False])
    mesh.clock.advance(10)
    first = await bob.post(f"/v1/messages/{sent['id']}/ack")
    assert first["status"] == "acked"
    assert first["stored_at"] <= first["offered_at"] <= first["injected_at"] < first["read_at"]
    assert first["read_at"] == first["acked_at"]
    mesh.clock.advance(10)
    for again in ("read", "ack"):
        assert await bob.post(f"/v1/messages/{sent['id']}/{again}") == first
    assert await injected(mesh, bob, sent["id"]) == []
    assert await receipt(mesh, sent["id"], bob) == first
    types = [event["type"] for event in await mesh.events(type="message")]
    assert types == ["message.sent", "message.offered", "message.injected", "message.acked"]


async def test_looking_does_not_read(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    sent = await say(alice, "bob")
    for path in ("inbox", "wait?timeout_s=0", sent["id"], f"{sent['id']}/thread", "inbox"):
        await bob.get(f"/v1/messages/{path}")
        await settled(mesh)
    assert (await receipt(alice, sent["id"], bob))["status"] == "offered"
    assert await bodies(bob, unread=True) == ["hello"]
    assert (await bob.post(f"/v1/agents/{bob.id}/heartbeat"))["unread"] == 1
    read = await bob.post(f"/v1/messages/{sent['id']}/read")
    assert (read["status"], read["acked_at"]) == ("read", None)
    assert await bodies(bob, unread=True) == []
    assert (await bob.post(f"/v1/agents/{bob.id}/heartbeat"))["unread"] == 0


async def test_only_a_recipient_reads_and_acknowledges(mesh: Mesh) -> None:
    alice, bob, late = await mesh.agent("alice"), await mesh.agent("bob"), None
    sent = await say(alice, "*")
    late = await mesh.agent("late")
    for speaker in (alice, late):
        for verb in ("read", "ack"):
            with pytest.raises(Refused) as refused:
                await speaker.post(f"/v1/messages/{sent['id']}/{verb}")
            assert refused.value.code == "not_a_recipient"
    assert (await bob.post(f"/v1/messages/{sent['id']}/ack"))["agent_name"] == "bob"
    for speaker in (late, await mesh.observer()):
        with pytest.raises(Refused) as private:
            await speaker.get(f"/v1/messages/{sent['id']}/receipts")
        assert private.value.code == "receipts_private"


async def test_a_sender_finds_what_was_never_offered(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    both = await say(alice, "bob", "carol", body="both")
    await say(alice, "bob", body="bob only")
    await bob.get("/v1/messages/inbox")
    await settled(mesh)
    assert await bodies(alice, "/v1/messages/outbox", never_offered=True) == ["both"]
    page = await alice.get(f"/v1/messages/{both['id']}/receipts", never_offered=True)
    assert [item["agent_name"] for item in page["items"]] == ["carol"]
    assert await bodies(carol, "/v1/messages/outbox", never_offered=True) == []
    [offered] = await mesh.events(type="message.offered")
    assert len(offered["data"]["message_ids"]) == 2
    assert (offered["data"]["agent_name"], offered["recipient_id"]) == ("bob", alice.id)


async def test_how_far_a_message_got_is_told_to_its_sender_and_nobody_else(mesh: Mesh) -> None:
    alice, bob, carol, dave = [await mesh.agent(name) for name in ("alice", "bob", "carol", "dave")]
    one, other = await say(alice, "bob"), await say(carol, "bob")
    await bob.get("/v1/messages/inbox")
    await settled(mesh)
    for speaker, sent in ((alice, one), (carol, other)):
        [event] = (await speaker.get("/v1/events", type="message.offered"))["items"]
        assert event["data"]["message_ids"] == [sent["id"]]
    assert len((await bob.get("/v1/events", type="message.offered"))["items"]) == 2
    assert (await dave.get("/v1/events", type="message"))["items"] == []


async def test_an_unacknowledged_message_is_reported_once_to_its_sender(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await say(alice, "bob", "carol", subject="deploy?", ack_timeout_s=60)
    await bob.post(f"/v1/messages/{sent['id']}/ack")
    await carol.post(f"/v1/messages/{sent['id']}/read")
    await mesh.sweep()
    assert await bodies(alice) == []
    mesh.clock.advance(61)
    await mesh.sweep()
    await mesh.sweep()
    [notice] = (await alice.get("/v1/messages/inbox"))["items"]
    assert (notice["sender_id"], notice["sender_name"]) == (None, "repomesh")
    assert (notice["tags"], notice["related_message_id"]) == (["non-delivery"], sent["id"])
    assert notice["subject"] == "Not delivered: deploy?"
    assert "1 of 2 recipients" in notice["body"]
    assert "- carol: read, not acknowledged" in notice["body"]
    [event] = (await alice.get("/v1/events", type="message.undelivered"))["items"]
    assert event["data"]["reason"] == "unacknowledged"
    missed = {"agent_id": carol.id, "agent_name": "carol", "status": "read", "reason": ""}
    assert event["data"]["missed"] == [missed]
    assert (event["data"]["notice_id"], event["severity"]) == (notice["id"], "warning")
    assert (await bob.get("/v1/events", type="message.undelivered"))["items"] == []
    shown = await alice.get(f"/v1/messages/{sent['id']}")
    assert shown["undelivered_at"] == event["data"]["at"]
    with pytest.raises(Refused) as refused:
        await say(alice, parent_message_id=notice["id"])
    assert refused.value.code == "nobody_addressed"


@pytest.mark.settings(ack_timeout_s=120.0)
async def test_what_got_through_in_time_is_not_reported(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    asked = await say(alice, "bob", ack_required=True)
    shown = await say(alice, "bob", ttl_s=60)
    missed = await say(alice, "bob", "carol", body="of use for a minute", ttl_s=60)
    await say(bob, body="answering is acknowledging", parent_message_id=asked["id"])
    await injected(mesh, bob, shown["id"], missed["id"])
    mesh.clock.advance(121)
    await mesh.sweep()
    notices = (await alice.get("/v1/messages/inbox", priority="high"))["items"]
    assert [notice["related_message_id"] for notice in notices] == [missed["id"]]
    assert "expired" in notices[0]["body"]
    assert "- carol: never offered to it" in notices[0]["body"]
    await carol.post(f"/v1/messages/{missed['id']}/ack")
    assert (await receipt(alice, missed["id"], carol))["status"] == "acked"


async def test_a_retired_recipient_or_sender_breaks_nothing(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    sent = await say(alice, "bob", ack_timeout_s=60)
    answer = await say(bob, "alice", ack_timeout_s=60)
    await mesh.post("/v1/agents/bob/retire")
    with pytest.raises(Refused) as refused:
        await say(alice, parent_message_id=answer["id"])
    assert refused.value.code == "recipient_retired"
    mesh.clock.advance(61)
    await mesh.sweep()
    assert (await receipt(alice, sent["id"], bob))["status"] == "stored"
    bob = await mesh.agent("bob")
    assert len(await bodies(bob, unread=True)) == 2
