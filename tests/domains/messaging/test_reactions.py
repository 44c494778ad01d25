"""Reactions: one of each kind per agent on a message."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from repomesh.kernel.limits import REACTIONS_PER_AGENT_MAX
from talking import say

pytestmark = pytest.mark.anyio


async def test_reactions_are_added_listed_and_removed(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await say(alice, "bob")
    path = f"/v1/messages/{sent['id']}/reactions"
    first = await bob.post(path, reaction="+1")
    assert await bob.post(path, reaction="+1") == first
    await bob.post(path, reaction="🎉")
    await alice.post(path, reaction="+1")

    async def listed() -> set[tuple[str, str]]:
        return {(item["agent_name"], item["reaction"]) for item in (await alice.get(path))["items"]}

    assert await listed() == {("bob", "+1"), ("bob", "🎉"), ("alice", "+1")}
    assert (await bob.delete(f"{path}/+1"))["reaction"] == "+1"
    with pytest.raises(Refused) as refused:
        await bob.delete(f"{path}/+1")
    assert refused.value.code == "reaction_not_found"
    assert await listed() == {("bob", "🎉"), ("alice", "+1")}
    with pytest.raises(Refused) as hidden:
        await carol.post(path, reaction="+1")
    assert hidden.value.code == "message_not_found"
    events = await mesh.events(type="message")
    assert [event["type"].rpartition(".")[2] for event in events] == [
        "sent",
        "reaction_added",
        "reaction_added",
        "reaction_added",
        "reaction_removed",
    ]
    assert events[1]["data"] == first
    for speaker, count in ((alice, 3), (bob, 3), (carol, 0)):
        seen = await speaker.get("/v1/events", type="message.reaction_added")
        assert len(seen["items"]) == count


@pytest.mark.parametrize("reaction", ["", " ", "a b", "a/b", "..", "x" * 33, "\n"])
async def test_a_reaction_is_one_short_word(mesh: Mesh, reaction: str) -> None:
    alice = await mesh.agent("alice")
    sent = await say(alice, "alice")
    with pytest.raises(Refused) as refused:
        await alice.post(f"/v1/messages/{sent['id']}/reactions", reaction=reaction)
    assert refused.value.code == "invalid_request"


async def test_one_agent_has_only_so_many_reactions_on_a_message(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    sent = await say(alice, "alice")
    path = f"/v1/messages/{sent['id']}/reactions"
    for number in range(REACTIONS_PER_AGENT_MAX):
        await alice.post(path, reaction=f"r{number}")
    with pytest.raises(Refused) as refused:
        await alice.post(path, reaction="one-more")
    assert refused.value.code == "too_many_reactions"
    assert len((await alice.get(path, limit=200))["items"]) == REACTIONS_PER_AGENT_MAX
