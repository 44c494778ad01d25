"""Who joins, first or again, is told what it needs to go on."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


async def again(speaker: Speaker, **fields: object) -> str:
    """The briefing of an agent that registers again, as after its context was compacted."""
    made = await speaker.post("/v1/agents/register", **fields)
    return str(made["briefing"])


async def test_a_newcomer_is_told_who_it_is_and_what_was_decided(mesh: Mesh) -> None:
    bob = await mesh.agent("bob")
    await bob.post("/v1/memories", key="port", type="decision", content="We listen on 8787.")
    wrong = await bob.post("/v1/memories", key="wrong", type="decision", content="On 80.")
    await bob.post(f"/v1/memories/{wrong['id']}/retract", reason="a guess")
    alice = await mesh.agent("alice")
    assert alice.registration is not None
    briefing = alice.registration["briefing"]
    assert "You are the agent 'alice'" in briefing
    assert briefing.endswith("Decisions that hold:\n| port: We listen on 8787. (memory)")
    for absent in ("wrong", "Your tasks", "What you did last", "Unread"):
        assert absent not in briefing


async def test_who_comes_back_is_told_what_it_was_doing(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await bob.post("/v1/sessions", session_id="plan")
    await bob.post("/v1/sessions/plan/tasks", goal="Review the parser", agent="alice")
    mine = await alice.post("/v1/tasks", goal="Write the </system> parser")
    claimed = await alice.post(f"/v1/tasks/{mine['id']}/claim")
    progress = {"fencing_token": claimed["fencing_token"], "percent": 40, "note": "the tests are left"}
    await alice.post(f"/v1/tasks/{mine['id']}/progress", **progress)
    lost = await alice.post("/v1/tasks", goal="Old work")
    held = await alice.post(f"/v1/tasks/{lost['id']}/claim")
    token = held["fencing_token"]
    await alice.post(f"/v1/tasks/{lost['id']}/release", fencing_token=token, reason="later")
    await alice.post("/v1/locks/acquire", resources=["src/parser/**"])
    await alice.post("/v1/memories", key="idea", session_id="plan", content="Two passes.")
    await alice.post("/v1/messages", to=["bob"], subject="Half way", body="More tomorrow.")
    await alice.post(f"/v1/agents/{alice.id}/heartbeat", status_text="writing the parser")
    await bob.post("/v1/messages", to=["alice"], body="How far are you?", priority="high")

    briefing = await again(alice)
    assert "You said last: 'writing the parser'." in briefing
    assert f"| {mine['id']} Write the \u2039/system> parser (40 %, token " in briefing
    assert "the tests are left" in briefing
    assert "Delegated to you, to be claimed:\n| " in briefing
    assert "Review the parser" in briefing
    assert "| src/parser/** exclusive (token " in briefing
    assert "Unread messages: 2" in briefing
    _, deeds = briefing.split("What you did last, newest first:\n")
    assert [line.split(" ", 3)[3] for line in deeds.splitlines()[:3]] == [
        "message.sent to bob: Half way",
        "memory.stored note idea in plan",
        f"task.released {lost['id']} (open now) Old work",
    ]
    assert mine["id"] not in deeds


async def test_the_briefing_keeps_to_its_budget_and_to_the_newest(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for number in range(limits.DECISIONS_BRIEFED_MAX + 2):
        await alice.post("/v1/memories", key=f"d{number}", type="decision", content="word " * 1_000)
        await alice.post("/v1/sessions", session_id=f"s{number}")
    briefing = await again(alice)
    assert len(briefing) <= limits.BRIEFING_CHARS_MAX
    assert f"| d{limits.DECISIONS_BRIEFED_MAX + 1}: word" in briefing
    long = await again(alice, max_chars=20_000)
    assert long.count("| d") == limits.DECISIONS_BRIEFED_MAX
    assert long.count("session.created") + long.count("memory.stored") == limits.DEEDS_TOLD_MAX
    short = await again(alice, max_chars=limits.TEXT_CHARS_MIN)
    assert len(short) <= limits.TEXT_CHARS_MIN
    with pytest.raises(Refused):
        await again(alice, max_chars=limits.TEXT_CHARS_MIN - 1)


async def test_what_others_do_is_not_among_what_one_did(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await bob.post("/v1/sessions", session_id="theirs")
    await alice.post("/v1/sessions", session_id="mine")
    briefing = await again(alice)
    assert "session.created session/mine" in briefing
    assert "theirs" not in briefing


async def test_a_hooks_briefing_says_the_same(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await alice.post("/v1/memories", key="port", type="decision", content="8787")
    text = (await alice.get("/v1/briefing"))["text"]
    assert "| port: 8787 (memory)" in text
    assert "memory.stored decision port in no session" in text
    assert "between tool calls" in text


async def test_only_the_newest_events_are_looked_through(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await mesh.agent("alice")
    for name in ("first", "second", "third"):
        await alice.post("/v1/sessions", session_id=name)
    monkeypatch.setattr(limits, "DEEDS_LOOKED_AT", 2)
    briefing = await again(alice)
    assert ("session/third" in briefing, "session/second" in briefing) == (True, True)
    assert "session/first" not in briefing
