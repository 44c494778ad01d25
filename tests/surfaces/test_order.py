"""Every list, cursor and wait is in the order of commits, while somebody sets the clock all the time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness import Mesh, Speaker

pytestmark = pytest.mark.anyio
# What somebody does to the clock between two commands: nothing, an hour or two seconds back, or on.
_SET_BACK_S = (0.0, 0.0, 3_600.0, 2.0, 0.001, -1_800.0)


async def listed(who: Speaker, path: str) -> list[str]:
    """The ids of a list, read in pages of three; fails when a cursor goes round in circles."""
    ids: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(100):
        page = await who.get(path, limit=3, **cursor)
        ids += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return ids
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError(f"{path} has no end")


async def waited(who: Speaker) -> list[str]:
    """The ids of what `message.wait` answers one after the other, each asked for behind the one before."""
    ids: list[str] = []
    while True:
        after = {"after": ids[-1]} if ids else {}
        found = (await who.get("/v1/messages/wait", limit=1, timeout_s=0, **after))["items"]
        if not found:
            return ids
        ids += [message["id"] for message in found]


@pytest.mark.parametrize("seed", range(4))
async def test_lists_and_waits_follow_commits(mesh: Mesh, seed: int) -> None:
    chance = random.Random(seed)
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made: dict[str, list[str]] = {"message": [], "task": [], "question": [], "session": []}
    root = (await alice.post("/v1/messages", to=["bob"], body="root"))["id"]
    made["message"].append(root)
    await mesh.agent("jane", type="human")
    for number in range(24):
        mesh.clock.put_back(chance.choice(_SET_BACK_S))
        sort = chance.choice(["message", "message", "task", "question", "session"])
        if sort == "message":
            sent = await alice.post("/v1/messages", to=["bob"], body=f"{number}", parent_message_id=root)
        elif sort == "task":
            sent = await alice.post("/v1/tasks", goal=f"{number}")
        elif sort == "question":
            sent = await alice.post("/v1/questions", question=f"{number}?", to="jane")
        else:
            sent = await alice.post("/v1/sessions", session_id=f"s{number}", title=f"{number}")
        made[sort].append(sent["id"])
    sent_to_bob = made["message"]
    assert await listed(bob, "/v1/messages/inbox") == sent_to_bob[::-1]
    assert [one for one in await listed(alice, "/v1/messages/outbox") if one in sent_to_bob] == (
        sent_to_bob[::-1]
    )
    assert await listed(bob, f"/v1/messages/{root}/thread") == sent_to_bob
    assert await waited(bob) == sent_to_bob
    assert await listed(mesh, "/v1/questions") == made["question"][::-1]
    assert await listed(mesh, "/v1/sessions") == made["session"][::-1]
    assert await listed(mesh, "/v1/tasks") == made["task"][::-1]
    claimed = [(await bob.post("/v1/tasks/next/claim"))["task"]["id"] for _ in made["task"]]
    assert claimed == made["task"]  # the oldest first
    events = await mesh.events()
    assert [one["id"] for one in events] == sorted(one["id"] for one in events)
    assert [one["at"] for one in events] == sorted(one["at"] for one in events)
