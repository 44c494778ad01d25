"""Agents write to each other, answer, and find again what was said."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def send(speaker: Speaker, *to: str, body: str = "hello", **fields: Any) -> Any:
    if to:
        fields["to"] = list(to)
    return await speaker.post("/v1/messages", body=body, **fields)


async def bodies(speaker: Speaker, path: str, **params: Any) -> list[str]:
    return [item["body"] for item in (await speaker.get(path, **params))["items"]]


async def test_a_message_reaches_those_it_names_and_nobody_else(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    sent = await send(alice, "bob", subject="greeting", tags=["a", "b"], priority="high", topic="intro")
    [got] = (await bob.get("/v1/messages/inbox"))["items"]
    assert (got["id"], got["thread_id"], got["status"]) == (sent["id"], sent["id"], "stored")
    assert (got["sender_name"], got["sender_id"], got["to"]) == ("alice", alice.id, ["bob"])
    assert (got["subject"], got["body"], got["tags"]) == ("greeting", "hello", ["a", "b"])
    assert (got["priority"], got["topic"], got["truncated"]) == ("high", "intro", False)
    for speaker in (alice, bob, mesh):
        assert (await speaker.get(f"/v1/messages/{sent['id']}"))["body"] == "hello"
    for speaker in (carol, await mesh.observer()):
        assert await bodies(speaker, "/v1/messages") == []
        with pytest.raises(Refused) as refused:
            await speaker.get(f"/v1/messages/{sent['id']}")
        assert refused.value.code == "message_not_found"
    assert await bodies(alice, "/v1/messages/outbox") == ["hello"]
    assert await bodies(alice, "/v1/messages/inbox") == []
