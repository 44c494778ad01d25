"""Agents write to each other and answer; who may see what was said."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from repomesh.kernel.limits import EVENT_BODY_CHARS_MAX, HOPS_MAX
from talking import bodies, receipt, say

pytestmark = pytest.mark.anyio


async def test_a_message_reaches_those_it_names_and_nobody_else(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await say(alice, "bob", subject="greeting", tags=["a", "b"], priority="high", topic="intro")
    [got] = (await bob.get("/v1/messages/inbox"))["items"]
    assert (got["id"], got["thread_id"], got["status"]) == (sent["id"], sent["id"], "stored")
    assert (got["sender_name"], got["sender_id"], got["to"]) == ("alice", alice.id, ["bob"])
    assert (got["subject"], got["body"], got["tags"]) == ("greeting", "hello", ["a", "b"])
    assert (got["priority"], got["topic"], got["truncated"]) == ("high", "intro", False)
    for speaker in (alice, bob, mesh):
        assert (await speaker.get(f"/v1/messages/{sent['id']}"))["body"] == "hello"
        assert await bodies(speaker, "/v1/messages") == ["hello"]
    for speaker in (carol, await mesh.observer()):
        assert await bodies(speaker, "/v1/messages") == []
        for path in ("", "/thread", "/receipts", "/reactions"):
            with pytest.raises(Refused) as refused:
                await speaker.get(f"/v1/messages/{sent['id']}{path}")
            assert (refused.value.status, refused.value.code) == (404, "message_not_found")
    assert await bodies(alice, "/v1/messages/outbox") == ["hello"]
    assert await bodies(alice) == []


async def test_recipients_are_named_by_name_or_id_and_each_gets_one_copy(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await say(alice, bob.id, "bob", "carol", carol.id)
    assert (sent["to"], sent["recipient_count"]) == (["bob", "bob", "carol", "carol"], 2)
    assert await bodies(bob) == await bodies(carol) == ["hello"]


async def test_a_broadcast_reaches_everybody_else_who_is_in_service(mesh: Mesh) -> None:
    alice, bob, _gone = [await mesh.agent(name) for name in ("alice", "bob", "gone")]
    await mesh.post("/v1/agents/gone/retire")
    sent = await say(alice, "*")
    late = await mesh.agent("late")
    assert sent["recipient_count"] == 1
    assert await bodies(bob) == ["hello"]
    assert await bodies(alice) == await bodies(late) == await bodies(await mesh.agent("gone")) == []
    for speaker in (late, await mesh.observer()):
        assert (await speaker.get(f"/v1/messages/{sent['id']}"))["to"] == ["*"]
    [event] = await mesh.events(type="message.sent")
    assert (event["audience"], event["recipient_id"]) == ("workspace", bob.id)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "nobody_addressed"),
        ({"to": ["bbo", "alice"]}, "recipient_not_found"),
        ({"to": ["gone"]}, "recipient_retired"),
        ({"to": ["#a", "#b"]}, "several_channels"),
        ({"to": ["#nowhere"]}, "channel_not_found"),
        ({"to": ["bob"], "expires_at": "2020-01-01T00:00:00Z"}, "bad_expiry"),
        ({"to": ["bob"], "expires_at": "2199-01-01T00:00:00Z"}, "bad_expiry"),
        ({"to": ["bob"], "expires_at": "2020-01-01T00:00:00Z", "ttl_s": 60}, "bad_expiry"),
        ({"parent_message_id": "0192d5c8-1111-7111-8111-111111111111"}, "message_not_found"),
        ({"to": []}, "invalid_request"),
        ({"to": ["bob"], "body": ""}, "invalid_request"),
        ({"to": ["bob"], "body": "x" * 1_000_001}, "invalid_request"),
        ({"to": ["bob"], "sender_id": "me"}, "invalid_request"),
        ({"to": ["bob"], "parent_message_id": "not-an-id"}, "invalid_request"),
    ],
)
async def test_what_can_not_be_sent_changes_nothing(mesh: Mesh, fields: dict[str, str], code: str) -> None:
    alice, bob, _gone = [await mesh.agent(name) for name in ("alice", "bob", "gone")]
    await mesh.post("/v1/agents/gone/retire")
    before = len(await mesh.events())
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/messages", **({"body": "hello"} | fields))
    assert refused.value.code == code
    if code == "recipient_not_found":
        assert refused.value.problem["unknown"] == ["bbo"]
        assert "'bbo' perhaps bob" in refused.value.problem["hint"]
    assert await bodies(bob) == []
    assert len(await mesh.events()) == before


async def test_who_sends_is_the_acting_agent_and_there_must_be_one(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    with pytest.raises(Refused) as refused:
        await say(mesh, "bob")
    assert refused.value.code == "agent_required"
    await mesh.post("/v1/messages", {"X-Repomesh-Agent": "alice"}, to=["bob"], body="by the owner")
    [got] = (await bob.get("/v1/messages/inbox"))["items"]
    assert got["sender_id"] == alice.id
    with pytest.raises(Refused) as observed:
        await say(await mesh.observer(), "bob")
    assert observed.value.status == 403


async def test_an_answer_goes_back_keeps_its_thread_and_acknowledges(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    asked = await say(alice, "bob", subject="which port?", topic="deploy", ack_required=True)
    answered = await say(bob, body="8787", parent_message_id=asked["id"])
    assert (answered["to"], answered["thread_id"], answered["hop"]) == (["alice"], asked["id"], 1)
    [got] = (await alice.get("/v1/messages/inbox"))["items"]
    assert (got["subject"], got["topic"], got["parent_message_id"]) == ("which port?", "deploy", asked["id"])
    assert (await receipt(alice, asked["id"], bob))["status"] == "acked"
    assert await bodies(bob, unread=True) == []
    # Who goes on after its own message speaks to the same agent.
    assert (await say(bob, body="or 8788", parent_message_id=answered["id"]))["to"] == ["alice"]
    path = f"/v1/messages/{answered['id']}/thread"
    assert await bodies(alice, path) == ["hello", "8787", "or 8788"]
    assert await bodies(alice, path, newest_first=True) == ["or 8788", "8787", "hello"]
    with pytest.raises(Refused) as refused:
        await say(carol, "bob", parent_message_id=asked["id"])
    assert refused.value.code == "message_not_found"


async def test_a_thread_shows_each_agent_only_what_it_may_see(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    asked = await say(alice, "bob", "carol", body="all of you")
    await say(bob, "alice", body="only for alice", parent_message_id=asked["id"])
    path = f"/v1/messages/{asked['id']}/thread"
    assert await bodies(carol, path) == ["all of you"]
    assert await bodies(alice, path) == await bodies(mesh, path) == ["all of you", "only for alice"]


async def test_agents_answer_each_other_only_so_often_without_a_human(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    human = await mesh.agent("hugo", type="human")
    last = await say(alice, "bob", "hugo")
    for number in range(HOPS_MAX):
        last = await say((bob, alice)[number % 2], "alice", "bob", "hugo", parent_message_id=last["id"])
    assert last["hop"] == HOPS_MAX == 12
    with pytest.raises(Refused) as refused:
        await say(bob, parent_message_id=last["id"])
    assert refused.value.code == "too_many_hops"
    assert "human" in refused.value.problem["hint"]
    word = await say(human, "alice", "bob", parent_message_id=last["id"])
    assert word["hop"] == 0
    assert (await say(bob, parent_message_id=word["id"]))["hop"] == 1


async def test_an_expired_message_leaves_the_inbox_but_not_the_log(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await say(alice, "bob", body="soon of no use", ttl_s=60)
    assert await bodies(bob, unread=True) == ["soon of no use"]
    mesh.clock.advance(61)
    assert await bodies(bob) == await bodies(bob, "/v1/messages/wait", timeout_s=0) == []
    assert await bodies(bob, "/v1/messages") == ["soon of no use"]


async def test_the_event_of_a_message_is_the_message(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    long = "x" * (EVENT_BODY_CHARS_MAX + 1)
    task_id = "0192d5c8-1111-7111-8111-111111111111"
    short = await say(alice, "bob", body=long[:-1], task_id=task_id)
    answer = await say(bob, body=long, parent_message_id=short["id"])
    first, second = await mesh.events(type="message.sent")
    assert first["data"] == await mesh.get(f"/v1/messages/{short['id']}")
    assert (first["recipient_id"], first["task_id"], first["hop"]) == (bob.id, task_id, 0)
    assert (first["actor"], first["audience"], first["correlation_id"]) == (alice.id, "agents", short["id"])
    assert (second["hop"], second["correlation_id"], second["task_id"]) == (1, short["id"], task_id)
    assert second["data"]["body"] == long[:-1]
    assert (second["data"]["body_chars"], second["data"]["truncated"]) == (len(long), True)
    assert (await alice.get(f"/v1/messages/{answer['id']}"))["body"] == long


@pytest.mark.settings(messages_per_minute=3)
async def test_an_agent_sends_only_so_much_in_a_minute(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for _ in range(3):
        await say(alice, "bob")
    with pytest.raises(Refused) as refused:
        await say(alice, "bob")
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert float(refused.value.response.headers["Retry-After"]) > 0
    await say(bob, "alice")


async def test_a_replayed_message_is_sent_once(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    once = {"Idempotency-Key": "k"}
    first = await alice.post("/v1/messages", once, to=["bob"], body="hello")
    assert await alice.post("/v1/messages", once, to=["bob"], body="hello") == first
    assert await bodies(bob) == ["hello"]
