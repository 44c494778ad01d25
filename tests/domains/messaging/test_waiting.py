"""An agent waits for messages without polling."""

from __future__ import annotations

import asyncio

import pytest

from harness import Mesh
from repomesh.kernel.limits import MAX_CHARS_MIN
from talking import bodies, receipt, say, settled

pytestmark = pytest.mark.anyio


async def test_a_wait_answers_at_once_what_is_unread_and_when_something_comes(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await say(alice, "bob", body="1")
    second = await say(alice, "bob", body="2")
    assert await bodies(bob, "/v1/messages/wait", timeout_s=50) == ["1", "2"]
    waiting = asyncio.create_task(bodies(bob, "/v1/messages/wait", timeout_s=50, after=second["id"]))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await say(bob, "alice", body="not for bob")
    third = await say(alice, "*", body="3")
    assert await asyncio.wait_for(waiting, 20) == ["3"]
    await settled(mesh)
    assert (await receipt(alice, third["id"], bob))["status"] == "offered"


async def test_a_wait_ends_empty_when_its_time_is_up(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    page = await bob.get("/v1/messages/wait", timeout_s=0.05)
    assert (page["items"], page["next_cursor"], page["omitted"]) == ([], None, None)


async def test_a_wait_can_be_for_one_thread(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    asked = await say(alice, "bob", body="question")
    waiting = asyncio.create_task(
        bodies(alice, "/v1/messages/wait", timeout_s=50, thread_id=asked["thread_id"], sender="bob")
    )
    await asyncio.sleep(0.1)
    await say(carol, "alice", body="something else")
    await say(bob, body="answer", parent_message_id=asked["id"])
    assert await asyncio.wait_for(waiting, 20) == ["answer"]


async def test_what_does_not_fit_the_budget_ends_the_wait_all_the_same(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    sent = await say(alice, "bob")
    page = await bob.get("/v1/messages/wait", timeout_s=50, max_chars=MAX_CHARS_MIN)
    assert page["items"] == []
    assert page["omitted"].startswith(f"longer than max_chars: {sent['id']};")
    assert page["next_cursor"] is None
    assert await bodies(bob, "/v1/messages/wait", timeout_s=50) == ["hello"]
