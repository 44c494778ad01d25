"""What was said is found again: by inbox, outbox and log, in pages and within a budget."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits
from repomesh.kernel.limits import MAX_CHARS_MIN
from talking import bodies, say

pytestmark = pytest.mark.anyio


async def every_page(speaker: Speaker, path: str, **params: Any) -> list[str]:
    """The bodies of all pages; no page may be larger than it was asked to be."""
    found, cursor = [], None
    while True:
        page = await speaker.get(path, **params, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= params["limit"]
        found += [item["body"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_the_inbox_is_narrowed_by_what_its_messages_are(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    await alice.post("/v1/channels", name="dev")
    await carol.post("/v1/channels/dev/join")
    first = await say(alice, "carol", body="1", topic="build", priority="low")
    await say(bob, "carol", body="2", priority="high")
    mesh.clock.advance(60)
    await say(alice, "#dev", body="3", topic="build", priority="urgent")
    at = (await carol.get("/v1/messages/inbox"))["items"][0]["created_at"]
    await carol.post(f"/v1/messages/{first['id']}/read")
    for criteria, found in [
        ({}, ["3", "2", "1"]),
        ({"unread": True}, ["3", "2"]),
        ({"sender": "alice"}, ["3", "1"]),
        ({"sender": bob.id}, ["2"]),
        ({"channel": "#dev"}, ["3"]),
        ({"topic": "build"}, ["3", "1"]),
        ({"priority": "high"}, ["3", "2"]),
        ({"since": at}, ["3"]),
        ({"until": at}, ["2", "1"]),
        ({"sender": "alice", "topic": "build", "unread": True}, ["3"]),
        ({"topic": "nothing"}, []),
    ]:
        assert await bodies(carol, **criteria) == found, criteria
    assert await bodies(alice, "/v1/messages/outbox", topic="build", until=at) == ["1"]
    for criteria, code in [
        ({"sender": "nobody"}, "agent_not_found"),
        ({"channel": "x"}, "channel_not_found"),
    ]:
        with pytest.raises(Refused) as refused:
            await carol.get("/v1/messages/inbox", **criteria)
        assert refused.value.code == code
    with pytest.raises(Refused) as no_agent:
        await mesh.get("/v1/messages/inbox")
    assert no_agent.value.code == "agent_required"


async def test_the_log_shows_each_what_it_may_see(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    task_id = "0192d5c8-1111-7111-8111-111111111111"
    await alice.post("/v1/channels", name="dev")
    await say(alice, "bob", body="direct", task_id=task_id)
    await say(alice, "#dev", body="in the channel", topic="t")
    await say(bob, "*", body="to everybody", topic="t")
    for speaker, found in [
        (mesh, ["to everybody", "in the channel", "direct"]),
        (alice, ["to everybody", "in the channel", "direct"]),
        (bob, ["to everybody", "direct"]),
        (carol, ["to everybody"]),
        (await mesh.observer(), ["to everybody", "in the channel"]),
    ]:
        assert await bodies(speaker, "/v1/messages") == found, speaker.name
    for criteria, found in [
        ({"sender": "alice"}, ["in the channel", "direct"]),
        ({"recipient": "bob"}, ["direct"]),
        ({"recipient": "carol", "sender": "bob"}, ["to everybody"]),
        ({"topic": "t"}, ["to everybody", "in the channel"]),
        ({"channel": "dev"}, ["in the channel"]),
        ({"task_id": task_id}, ["direct"]),
    ]:
        assert await bodies(mesh, "/v1/messages", **criteria) == found, criteria
    assert await bodies(carol, "/v1/messages", recipient="bob") == []
    with pytest.raises(Refused) as refused:
        await mesh.get("/v1/messages", task_id="not-an-id")
    assert refused.value.problem["errors"][0]["field"] == "task_id"


async def test_a_log_in_which_little_is_to_be_seen_comes_in_short_pages(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_WINDOWS", (2, 4))
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    for number in range(12):
        await say(alice, "carol" if number % 6 == 0 else "bob", body=str(number))
    first = await carol.get("/v1/messages", limit=3)
    assert first["items"] == []
    assert first["next_cursor"] is not None
    assert await every_page(carol, "/v1/messages", limit=3) == ["6", "0"]
    others = ["11", "10", "9", "8", "7", "5", "4", "3", "2", "1"]
    assert await every_page(bob, "/v1/messages", limit=3, sender="alice") == others
    assert await every_page(mesh, "/v1/messages", limit=3, recipient="bob") == others
    assert await every_page(mesh, "/v1/messages", limit=3, priority="high") == []


async def test_the_log_is_searched_by_words_of_subject_and_body(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    for number in range(5):
        await say(alice, "bob", body=f"the cache is stale {number}", subject="Deploy")
    await say(alice, "carol", body="the cache of carol")
    assert await bodies(carol, "/v1/messages", text="cache") == ["the cache of carol"]
    assert await bodies(mesh, "/v1/messages", text="deploy STALE 3") == ["the cache is stale 3"]
    assert await bodies(mesh, "/v1/messages", text="cache", recipient="carol") == ["the cache of carol"]
    assert await bodies(mesh, "/v1/messages", text="'; -- nothing") == []
    pages = await every_page(bob, "/v1/messages", text="cache stale", limit=2)
    assert pages == [f"the cache is stale {number}" for number in (4, 3, 2, 1, 0)]
    small = await bob.get("/v1/messages", text="cache", max_chars=MAX_CHARS_MIN)
    assert small["items"] == []
    again = await bob.get("/v1/messages", text="cache", cursor=small["next_cursor"])
    assert len(again["items"]) == 4
    left_out = await bob.get(f"/v1/messages/{small['omitted'].split()[3].rstrip(';')}")
    assert left_out["body"] == "the cache is stale 4"


async def test_pages_are_complete_and_in_order(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    first = await say(alice, "bob", body="0")
    for number in range(1, 7):
        await say(alice, "bob", body=str(number), parent_message_id=first["id"])
    newest_first = [str(number) for number in range(6, -1, -1)]
    for speaker, path in [
        (bob, "/v1/messages/inbox"),
        (alice, "/v1/messages/outbox"),
        (bob, "/v1/messages"),
    ]:
        assert await every_page(speaker, path, limit=3) == newest_first
    thread = f"/v1/messages/{first['id']}/thread"
    assert await every_page(bob, thread, limit=3) == newest_first[::-1]
    assert await every_page(bob, thread, limit=3, newest_first=True) == newest_first
    assert await every_page(bob, "/v1/messages/wait", limit=3, timeout_s=0) == newest_first[::-1]
    for path in ("", "/inbox"):
        with pytest.raises(Refused) as refused:
            await bob.get(f"/v1/messages{path}", cursor="WzFd")
        assert refused.value.code == "invalid_request"


async def test_within_a_budget_nothing_is_skipped(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    for number in range(6):
        await say(alice, "bob", body=f"{number}" * 5_000)
    for path, speaker in [
        ("/v1/messages/inbox", bob),
        ("/v1/messages/outbox", alice),
        ("/v1/messages", bob),
        ("/v1/messages/wait", bob),
    ]:
        seen, cursor = "", None
        while True:
            params = {"max_chars": 4_000} | ({"cursor": cursor} if cursor else {})
            response = await speaker.request("GET", path, params=params)
            assert len(response.text) <= 4_000
            page = response.json()
            assert "texts cut" in page["omitted"]
            for item in page["items"]:
                assert item["truncated"]
                assert item["body_chars"] == 5_000
                seen += item["body"][0]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == list("012345"), path
    whole = await bob.get("/v1/messages/inbox", max_chars=1_000_000)
    assert whole["omitted"] is None
    nothing = await bob.get("/v1/messages/inbox", max_chars=MAX_CHARS_MIN)
    assert nothing["items"] == []
    assert nothing["omitted"].startswith(f"longer than max_chars: {whole['items'][0]['id']};")
    assert await bodies(bob, cursor=nothing["next_cursor"]) == (await bodies(bob))[1:]


async def test_one_message_is_shown_whole_or_cut_to_a_budget(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    sent = await say(alice, "bob", body='"\n' * 500_000)
    path = f"/v1/messages/{sent['id']}"
    assert (await bob.get(path))["body"] == '"\n' * 500_000
    response = await bob.request("GET", path, params={"max_chars": 2_000})
    shown = response.json()
    assert 1_990 <= len(response.text) <= 2_000
    assert (shown["truncated"], shown["body_chars"]) == (True, 1_000_000)
