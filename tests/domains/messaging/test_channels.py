"""Channels: agents join, talk to all members, leave, and archive what is over."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from talking import bodies, say

pytestmark = pytest.mark.anyio


async def test_a_channel_message_reaches_the_members_of_that_moment_but_its_sender(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    dev = await alice.post("/v1/channels", name="dev", description="All about it")
    assert (dev["created_by"], dev["member_count"]) == (alice.id, 1)
    assert (await bob.post("/v1/channels/dev/join"))["member_count"] == 2
    sent = await say(alice, "#dev", body="before")
    assert (sent["to"], sent["recipient_count"]) == (["#dev"], 1)
    await carol.post(f"/v1/channels/{dev['id']}/join")
    await bob.post("/v1/channels/dev/leave")
    await say(carol, f"#{dev['id']}", body="after")
    assert await bodies(alice) == ["after"]
    assert await bodies(bob) == ["before"]
    assert await bodies(carol) == []
    path = "/v1/channels/dev/messages"
    for speaker in (alice, carol, mesh, await mesh.observer()):
        assert await bodies(speaker, path) == ["after", "before"]
    assert (await carol.get(f"/v1/messages/{sent['id']}"))["channel"] == "dev"
    with pytest.raises(Refused) as refused:
        await bob.get(path)
    assert refused.value.code == "not_a_member"
    [first, _] = await mesh.events(type="message.sent")
    assert (first["audience"], first["channel_id"]) == ("channel", dev["id"])


async def test_only_members_send_and_an_archived_channel_takes_nothing(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/channels", name="dev")
    with pytest.raises(Refused) as stranger:
        await say(bob, "#dev")
    assert (stranger.value.status, stranger.value.code) == (403, "not_a_member")
    assert "Join" in stranger.value.problem["hint"]
    await bob.post("/v1/channels/dev/join")
    with pytest.raises(Refused) as not_his:
        await bob.post("/v1/channels/dev/archive")
    assert not_his.value.code == "not_your_channel"
    assert (await alice.post("/v1/channels/dev/archive"))["archived_at"] is not None
    before = await mesh.events()
    carol = await mesh.agent("carol")
    for refused in (say(bob, "#dev"), carol.post("/v1/channels/dev/join")):
        with pytest.raises(Refused) as over:
            await refused
        assert over.value.code == "channel_archived"
    await mesh.post("/v1/channels/dev/archive")
    assert len([e for e in await mesh.events() if e["type"].startswith("channel")]) == len(
        [e for e in before if e["type"].startswith("channel")]
    )
    assert await bodies(bob, "/v1/channels/dev/messages") == []
    assert (await bob.post("/v1/channels/dev/leave"))["member_count"] == 1


async def test_joining_makes_a_channel_unless_that_is_not_wanted(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await alice.post("/v1/channels/new/join")
    assert (made["name"], made["member_count"], made["created_by"]) == ("new", 1, alice.id)
    assert await alice.post("/v1/channels/new/join") == made
    absent = "0192d5c8-1111-7111-8111-111111111111"
    for path, body in [("typo", {"create": False}), (absent, {})]:
        with pytest.raises(Refused) as refused:
            await alice.post(f"/v1/channels/{path}/join", **body)
        assert refused.value.code == "channel_not_found"
    types = [event["type"] for event in await mesh.events(type="channel")]
    assert types == ["channel.created", "channel.joined"]
    with pytest.raises(Refused) as taken:
        await mesh.post("/v1/channels", name="new")
    assert taken.value.code == "channel_name_taken"


async def test_channels_and_members_are_listed(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for name in ("beta", "alpha", "gamma"):
        await mesh.post("/v1/channels", name=name)
    for agent in (bob, alice):
        await agent.post("/v1/channels/alpha/join")
    await bob.post("/v1/channels/beta/join")
    await mesh.post("/v1/channels/gamma/archive")

    async def names(**criteria: object) -> list[str]:
        return [channel["name"] for channel in (await bob.get("/v1/channels", **criteria))["items"]]

    assert await names() == ["alpha", "beta"]
    assert await names(archived=True) == ["gamma"]
    assert await names(name_prefix="b") == await names(member="bob", cursor="WyJhbHBoYSJd") == ["beta"]
    assert await names(member="alice") == ["alpha"]
    members = (await bob.get("/v1/channels/alpha/members"))["items"]
    assert [member["agent_name"] for member in members] == ["alice", "bob"]
    assert (await bob.get("/v1/channels/alpha"))["member_count"] == 2


async def test_an_answer_in_a_channel_goes_to_the_channel(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    for agent in (alice, bob, carol):
        await agent.post("/v1/channels/dev/join")
    asked = await say(alice, "#dev", body="who?")
    await alice.post("/v1/channels/dev/leave")
    answer = await say(bob, body="me", parent_message_id=asked["id"])
    assert answer["to"] == ["#dev", "alice"]
    assert await bodies(alice) == ["me"]
    assert await bodies(carol, unread=True) == ["me", "who?"]
    beside = await say(bob, "alice", body="by the way", parent_message_id=asked["id"])
    assert beside["to"] == ["alice"]
    assert await bodies(carol, f"/v1/messages/{asked['id']}/thread") == ["who?", "me"]


async def test_retired_members_are_passed_over(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for agent in (alice, bob):
        await agent.post("/v1/channels/dev/join")
    asked = await say(bob, "#dev", body="last words")
    await mesh.post("/v1/agents/bob/retire")
    assert (await say(alice, "#dev", body="still there?"))["recipient_count"] == 0
    assert (await say(alice, body="gone", parent_message_id=asked["id"]))["to"] == ["#dev"]
    assert len((await alice.get("/v1/channels/dev/members"))["items"]) == 2


async def test_a_channel_is_the_same_in_whatever_case_its_name_is_written(mesh: Mesh) -> None:
    alice, bob = [await mesh.agent(name) for name in ("alice", "bob")]
    dev = await alice.post("/v1/channels", name="Dev")
    assert (await bob.post("/v1/channels/dev/join"))["id"] == dev["id"]
    assert (await say(bob, "#DEV", body="here"))["to"] == ["#Dev"]
    assert await bodies(alice, "/v1/channels/dEV/messages") == ["here"]
    assert [one["name"] for one in (await mesh.get("/v1/channels", name_prefix="DE"))["items"]] == ["Dev"]
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/channels", name="dev")
    assert refused.value.code == "channel_name_taken"
