"""Whom the server has woken: idle CLI sessions, for what is worth a turn, once for each message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clocks import MovableClock
from harness import Mesh, Refused, Speaker
from hooking import Cli, boundary_of
from injection import CORPUS, assert_enveloped
from repomesh.domains.messaging.messages.rules import RANKS, earliest
from repomesh.domains.messaging.wakes import rules as wake_rules
from repomesh.domains.messaging.wakes.rules import WakeCandidate
from repomesh.kernel import limits
from tooling import ask

pytestmark = pytest.mark.anyio


async def idle(mesh: Mesh, speaker: Speaker, session_id: str = "s1", name: str = "claude") -> Cli:
    """A session of the speaker's CLI which waits for its person."""
    cli = Cli(mesh, name, session_id, token=speaker.token)
    await cli.hook("start")
    return cli


async def due(mesh: Mesh) -> list[str]:
    return [item["session_id"] for item in (await mesh.get("/v1/wakes", cli=["claude", "codex"]))["items"]]


async def take(mesh: Mesh, cli: Cli) -> Any:
    return await mesh.post("/v1/wakes", cli=cli.name, session_id=cli.session_id)


async def done(mesh: Mesh, speaker: Speaker, boundary: str, failure: str = "") -> None:
    await mesh.post(f"/v1/wakes/{boundary}/done", agent_id=speaker.id, failure=failure)


async def test_an_idle_session_is_woken_once_for_a_message(mesh: Mesh, clock: MovableClock) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    cli = await idle(mesh, bob)
    assert await due(mesh) == []
    sent = await alice.post("/v1/messages", to=["bob"], body="there is work")
    assert await due(mesh) == ["s1"]
    taken = await take(mesh, cli)
    assert taken["message_ids"] == [sent["id"]]
    assert taken["boundary"] == boundary_of(taken["text"])
    assert "not type this" in taken["text"].splitlines()[0]
    assert "there is work" in taken["text"]
    assert (await take(mesh, cli))["boundary"] is None
    await done(mesh, bob, taken["boundary"])
    clock.advance(limits.DELIVERY_RETRY_S + 1)
    assert await due(mesh) == []
    trace = await alice.get(f"/v1/messages/{sent['id']}/trace")
    (delivery,) = trace["recipients"][0]["deliveries"]
    assert (delivery["route"], delivery["sent_at"] is not None) == ("wake", True)
    assert trace["recipients"][0]["status"] == "offered"


async def test_a_busy_session_is_left_to_its_hooks_and_woken_when_it_is_idle_again(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    cli = await idle(mesh, bob)
    await cli.hook("prompt", prompt="Work.")
    await alice.post("/v1/messages", to=["bob"], body="later")
    assert await due(mesh) == []
    assert (await take(mesh, cli))["boundary"] is None
    await cli.hook("stop", stop_hook_active=True)
    assert await due(mesh) == ["s1"]
    await cli.hook("end", reason="exit")
    assert await due(mesh) == []
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/wakes", cli="claude", session_id="unknown")
    assert refused.value.code == "cli_session_not_found"


async def test_only_what_is_worth_a_turn_wakes(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await idle(mesh, bob)
    for speaker in (alice, bob):
        await speaker.post("/v1/channels/dev/join")
    await alice.post("/v1/messages", to=["*"], body="for everybody")
    await alice.post("/v1/messages", to=["#dev"], body="talk")
    await alice.post("/v1/messages", to=["bob"], body="some time", priority="low")
    assert await due(mesh) == []
    await alice.post("/v1/messages", to=["#dev"], body="fire", priority="urgent")
    assert await due(mesh) == ["s1"]


async def test_talk_does_not_hide_what_is_worth_a_turn(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await idle(mesh, bob)
    await alice.post("/v1/messages", to=["bob"], body="there is work")
    for number in range(limits.DELIVERY_MESSAGES_MAX + 1):
        await alice.post("/v1/messages", to=["*"], body=f"for everybody {number}")
    assert await due(mesh) == ["s1"]


async def test_who_refuses_is_asked_again_a_few_times_and_it_is_written_down(
    mesh: Mesh, clock: MovableClock
) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    cli = await idle(mesh, bob)
    sent = await alice.post("/v1/messages", to=["bob"], body="there is work")
    for attempt in range(1, limits.WAKE_TRIES_MAX + 1):
        taken = await take(mesh, cli)
        await done(mesh, bob, taken["boundary"], "its inbox is gone")
        found = await mesh.get("/v1/wakes", cli=["claude"])
        assert found["items"] == []
        if attempt < limits.WAKE_TRIES_MAX:
            assert found["again_s"] == pytest.approx(limits.WAKE_RETRY_S * attempt, abs=2)
        clock.advance(limits.WAKE_RETRY_S * attempt + 1)
    assert await due(mesh) == []
    trace = await alice.get(f"/v1/messages/{sent['id']}/trace")
    failures = [delivery["failure"] for delivery in trace["recipients"][0]["deliveries"]]
    assert failures == ["its inbox is gone"] * limits.WAKE_TRIES_MAX


async def test_who_waits_by_itself_is_left_the_time_to_find_the_message(
    mesh: Mesh, clock: MovableClock
) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await idle(mesh, bob)
    meta = {
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    }
    await ask(bob, "tools/call", meta=meta, name="wait_for_messages", arguments={})
    await alice.post("/v1/messages", to=["bob"], body="there is work")
    found = await mesh.get("/v1/wakes", cli=["claude"])
    assert (found["items"], 0 < found["again_s"] <= limits.WAKE_BEHIND_WAIT_S) == ([], True)
    clock.advance(limits.WAKE_BEHIND_WAIT_S)
    assert await due(mesh) == ["s1"]


async def test_waking_is_the_owners_and_no_sign_of_life(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    cli = await idle(mesh, bob)
    await alice.post("/v1/messages", to=["bob"], body="there is work")
    for stranger in (alice, bob, await mesh.observer()):
        with pytest.raises(Refused) as refused:
            await stranger.get("/v1/wakes", cli=["claude"])
        assert refused.value.status == 403
    await mesh.server.implicit_heartbeats.stop()
    before = (await mesh.get("/v1/agents/bob"))["last_seen_at"]
    await done(mesh, bob, (await take(mesh, cli))["boundary"])
    await mesh.server.implicit_heartbeats.stop()
    assert (await mesh.get("/v1/agents/bob"))["last_seen_at"] == before


NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLAIN = {"priority": RANKS["normal"], "ack_required": False, "direct": True, "stored_at": NOW}


@pytest.mark.parametrize(
    ("what", "woken"),
    [
        ({}, True),
        ({"direct": False}, False),
        ({"direct": False, "ack_required": True}, True),
        ({"direct": False, "priority": RANKS["high"]}, True),
        ({"priority": RANKS["low"]}, False),
    ],
)
def test_what_is_worth_a_turn(what: dict[str, Any], woken: bool) -> None:
    assert wake_rules.is_worth_a_turn(WakeCandidate(**PLAIN | what)) is woken


def test_when_it_is_time() -> None:
    assert wake_rules.due_at(WakeCandidate(**PLAIN), has_wait=False) == NOW
    assert wake_rules.due_at(WakeCandidate(**PLAIN), has_wait=True) == NOW + timedelta(
        seconds=limits.WAKE_BEHIND_WAIT_S
    )
    assert wake_rules.due_at(WakeCandidate(**PLAIN | {"arrived": True}), has_wait=False) is None
    twice = {"failures": 2, "failed_at": NOW}
    assert wake_rules.due_at(WakeCandidate(**PLAIN | twice), has_wait=True) == NOW + timedelta(
        seconds=2 * limits.WAKE_RETRY_S
    )
    assert wake_rules.due_at(WakeCandidate(**PLAIN | twice | {"failures": 3}), has_wait=False) is None
    assert earliest(None, NOW, NOW + timedelta(1)) == NOW
    assert earliest(None) is None


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_the_injection_corpus_in_what_wakes(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for number, (what, body) in enumerate(CORPUS.items()):
        cli = await idle(mesh, bob, f"s{number}")
        sent = await alice.post("/v1/messages", to=["bob"], body=body)
        taken = await take(mesh, cli)
        assert taken["message_ids"] == [sent["id"]], what
        assert_enveloped(taken["text"], what=what)
        await bob.post(f"/v1/messages/{sent['id']}/ack")
        await mesh.server.dispatch.close()
        await cli.hook("prompt", prompt="next")
