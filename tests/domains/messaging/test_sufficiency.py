"""Who has followed the events knows all that can be asked: nothing about messages is told only on request."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh
from talking import say, settled

pytestmark = pytest.mark.anyio

STEPS = ["stored", "offered", "injected", "read", "acked"]


class Follower:
    """Builds agents, channels, messages, receipts and reactions from events alone."""

    def __init__(self) -> None:
        self.agents: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.messages: dict[str, dict[str, Any]] = {}
        self.receipts: dict[tuple[str, str], dict[str, str]] = {}
        self.reactions: dict[tuple[str, str, str], dict[str, Any]] = {}

    def apply(self, event: dict[str, Any]) -> None:
        data, topic = event["data"], event["type"].partition(".")[0]
        if topic == "agent":
            self.agents[data["agent"]["id"]] = data["agent"]
        elif topic == "channel":
            self._channel(event["type"], data)
        elif event["type"] == "message.sent":
            self._message(data)
        elif event["type"] == "message.undelivered":
            self.messages[data["message_id"]]["undelivered_at"] = data["at"]
        elif event["type"].startswith("message.reaction"):
            key = data["message_id"], data["agent_id"], data["reaction"]
            if event["type"] == "message.reaction_added":
                self.reactions[key] = data
            else:
                del self.reactions[key]
        elif topic == "message":
            for message_id in data["message_ids"]:
                times = self.receipts[message_id, data["agent_id"]]
                for step in STEPS[1 : STEPS.index(data["status"]) + 1]:
                    times.setdefault(step, data["at"])

    def _channel(self, type_: str, data: dict[str, Any]) -> None:
        channel = data["channel"]
        self.channels[channel["id"]] = channel
        members = self.members.setdefault(channel["id"], {})
        if type_ == "channel.joined":
            members[data["agent_id"]] = data["at"]
        elif type_ == "channel.left":
            del members[data["agent_id"]]

    def _message(self, message: dict[str, Any]) -> None:
        self.messages[message["id"]] = dict(message)
        for agent_id, agent in self.agents.items():
            in_channel = agent_id in self.members.get(message["channel_id"] or "", {})
            present = agent["status"] != "retired" and agent_id != message["sender_id"]
            if agent["name"] in message["to"] or (present and (message["broadcast"] or in_channel)):
                self.receipts[message["id"], agent_id] = {"stored": message["created_at"]}


async def asked(mesh: Mesh, follower: Follower) -> None:
    """Compare all that can be asked with what the follower knows."""
    listed = (await mesh.get("/v1/messages", limit=200))["items"]
    assert {item["id"]: item for item in listed} == follower.messages
    channels = (await mesh.get("/v1/channels"))["items"] + (await mesh.get("/v1/channels", archived=True))[
        "items"
    ]
    assert {channel["id"]: channel for channel in channels} == follower.channels
    for channel in channels:
        members = (await mesh.get(f"/v1/channels/{channel['id']}/members"))["items"]
        assert {one["agent_id"]: one["joined_at"] for one in members} == follower.members[channel["id"]]
    for message in listed:
        path = f"/v1/messages/{message['id']}"
        for one in (await mesh.get(f"{path}/receipts"))["items"]:
            times = {step: one[f"{step}_at"] for step in STEPS if one[f"{step}_at"] is not None}
            assert follower.receipts.pop((message["id"], one["agent_id"])) == times
        for reaction in (await mesh.get(f"{path}/reactions"))["items"]:
            key = message["id"], reaction["agent_id"], reaction["reaction"]
            assert follower.reactions.pop(key) == reaction
    assert follower.receipts == follower.reactions == {}


async def test_the_events_tell_all_that_can_be_asked(mesh: Mesh) -> None:
    alice, bob, carol, dave = [await mesh.agent(name) for name in ("alice", "bob", "carol", "dave")]
    await mesh.post("/v1/agents/dave/retire")
    for agent in (alice, bob, carol):
        await agent.post("/v1/channels/dev/join")
    await carol.post("/v1/channels/dev/leave")
    await alice.post("/v1/channels", name="over")
    await alice.post("/v1/channels/over/archive")
    everybody = await say(alice, "*", body="all")
    await say(bob, "#dev", "carol", body="channel and one more")
    direct = await say(alice, "bob", body="direct", ack_timeout_s=60)
    await say(carol, "alice", body="expires", ttl_s=60)
    await bob.get("/v1/messages/inbox")
    await settled(mesh)
    await bob.post(f"/v1/messages/{direct['id']}/read")
    await say(carol, body="answer", parent_message_id=everybody["id"])
    for reaction in ("+1", "-1"):
        await bob.post(f"/v1/messages/{direct['id']}/reactions", reaction=reaction)
    await bob.delete(f"/v1/messages/{direct['id']}/reactions/-1")
    mesh.clock.advance(61)
    await mesh.sweep()
    follower = Follower()
    for event in await mesh.events():
        follower.apply(event)
    await asked(mesh, follower)
    assert dave.id in follower.agents
