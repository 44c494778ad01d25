"""Agents post events; everybody lists those that they may see."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.kernel.limits import MAX_CHARS_MIN

pytestmark = pytest.mark.anyio


async def numbers(speaker: Speaker, **criteria: Any) -> list[int]:
    """What a speaker's events count, in the order in which they are listed."""
    page = await speaker.get("/v1/events", type="test", **criteria)
    return [event["data"]["n"] for event in page["items"]]


async def post(speaker: Speaker, n: int, type_: str = "test.counted", **fields: Any) -> Any:
    return await speaker.post("/v1/events", type=type_, data={"n": n}, **fields)


def archive(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(Path(path).read_bytes()).splitlines()]


async def test_a_posted_event_is_told_to_everybody_as_it_was_written(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task_id = "0192d5c8-1111-7111-8111-111111111111"
    data = {"text": "ünïcode \u0000", "big": 2**63 - 1, "nested": [{"a": None}, 1.5], "": ""}
    posted = await alice.post(
        "/v1/events", type="blocker", severity="error", task_id=task_id, correlation_id="c-1", data=data
    )
    seen = await bob.get(f"/v1/events/{posted['seq']}")
    assert seen["data"] == data
    assert seen == (await bob.get("/v1/events", type="blocker"))["items"][0]
    assert {name: seen[name] for name in ("id", "seq", "type", "at")} == posted
    assert (seen["actor"], seen["severity"], seen["task_id"]) == (alice.id, "error", task_id)
    assert (seen["subject"], seen["correlation_id"]) == (f"task/{task_id}", "c-1")


async def test_an_event_for_one_agent_is_seen_by_it_its_sender_and_the_owner(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    posted = await post(alice, 1, recipient_id="bob")
    for speaker in (alice, bob, mesh):
        assert await numbers(speaker, recipient_id=bob.id) == [1]
    for speaker in (carol, await mesh.observer()):
        assert await numbers(speaker) == []
        with pytest.raises(Refused) as refused:
            await speaker.get(f"/v1/events/{posted['seq']}")
        assert refused.value.code == "event_not_found"


async def test_events_are_found_by_all_that_they_are_marked_with(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    task_id = "0192d5c8-1111-7111-8111-111111111111"
    await post(alice, 1, "test.chat.message", severity="warning")
    await post(bob, 2, "test.chat", task_id=task_id)
    await post(alice, 3, "test.chatter", correlation_id="c-1")
    assert await numbers(mesh) == [1, 2, 3]
    assert await numbers(mesh, newest=True) == [3, 2, 1]
    assert await numbers(mesh, agent_id=alice.id) == [1, 3]
    assert await numbers(mesh, task_id=task_id) == [2]
    assert await numbers(mesh, severity="warning") == [1]
    assert await numbers(mesh, correlation_id="c-1") == [3]
    for types, found in {
        ("test.chat",): [1, 2],
        ("test.chat.*",): [1, 2],
        ("test.chat.message", "test.chatter"): [1, 3],
    }.items():
        listed = await mesh.get("/v1/events", type=list(types))
        assert [event["data"]["n"] for event in listed["items"]] == found
    at = (await mesh.get("/v1/events", type="test.chat"))["items"][1]["at"]
    assert await numbers(mesh, since=at) == [2, 3]
    assert await numbers(mesh, until=at) == [1]
    ends = {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59.999999Z"}
    assert await numbers(mesh, **ends) == [1, 2, 3]


async def test_pages_and_positions_lead_through_the_whole_log(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    posted = [await post(alice, n) for n in range(7)]
    for newest in (False, True):
        found: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = await mesh.get("/v1/events", type="test", limit=3, newest=newest, **cursor)
            found += [event["data"]["n"] for event in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == sorted(range(7), reverse=newest)
    assert await numbers(mesh, after=posted[4]["seq"]) == [5, 6]
    assert page["last_seq"] == posted[6]["seq"]
    assert page["oldest_seq"] == 1


async def test_a_budget_is_kept_and_nothing_is_skipped(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for n in range(6):
        await alice.post("/v1/events", type="test", data={"n": n, "text": "x" * 300})
    found: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        response = await mesh.request(
            "GET", "/v1/events", params={"type": "test", "max_chars": 2_000, **cursor}
        )
        page = response.json()
        assert len(response.text) <= 2_000
        found += [event["data"]["n"] for event in page["items"]]
        if page["next_cursor"] is None:
            break
        assert page["omitted"]
        cursor = {"cursor": page["next_cursor"]}
    assert found == list(range(6))
    stuck = await mesh.get("/v1/events", type="test", max_chars=MAX_CHARS_MIN)
    assert stuck["items"] == []
    assert stuck["omitted"].startswith("longer than max_chars: ")


@pytest.mark.parametrize("field", ["recipient_id", "agent_id", "task_id"])
async def test_a_malformed_id_is_named_not_looked_up(mesh: Mesh, field: str) -> None:
    with pytest.raises(Refused) as refused:
        await mesh.get("/v1/events", **{field: "not-an-id"})
    assert refused.value.status == 422
    assert refused.value.problem["errors"][0]["field"] == field


async def test_what_may_not_be_posted(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    refusals = {
        "reserved_event_type": {"type": "task.created"},
        "two_audiences": {"type": "x", "recipient_id": "alice", "channel": "general"},
        "agent_not_found": {"type": "x", "recipient_id": "nobody"},
        "channel_not_found": {"type": "x", "channel": "nowhere"},
    }
    for code, body in refusals.items():
        with pytest.raises(Refused) as refused:
            await alice.post("/v1/events", **body)
        assert refused.value.code == code
    for type_ in (
        "token.revoked",
        "task.done",
        "lease.granted",
        "closed",
        "damaged_event",
        "Chat",
        "chat.",
        "chat..x",
        "",
    ):
        with pytest.raises(Refused) as refused:
            await alice.post("/v1/events", type=type_)
        assert refused.value.status == 422
    for raw in ('{"n": NaN}', '{"n": 1e999}', json.dumps({"n": "x" * 100_001})):
        response = await alice.request(
            "POST",
            "/v1/events",
            content=f'{{"type": "x", "data": {raw}}}',
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code == 422
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/events", type="x")
    assert refused.value.code == "agent_required"
    assert await mesh.events(type="x") == []


async def test_pruned_events_are_in_the_archive_and_a_resume_from_among_them_is_told(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for n in range(3):
        await post(alice, n)
    kept = await post(alice, 3)
    before = (await mesh.get("/v1/events"))["items"][:-1]
    pruned = await mesh.post("/v1/log/prune", before=kept["seq"])
    assert (pruned["events"], pruned["oldest_seq"], pruned["complete"]) == (len(before), kept["seq"], True)

    archived = archive(pruned["path"])
    assert [(event["seq"], event["id"], event["data"]) for event in archived] == [
        (event["seq"], event["id"], event["data"]) for event in before
    ]
    assert {event["specversion"] for event in archived} == {"1.0"}

    with pytest.raises(Refused) as refused:
        await mesh.get("/v1/events", after=1)
    assert (refused.value.status, refused.value.problem["oldest_seq"]) == (410, kept["seq"])
    assert await numbers(mesh, after=kept["seq"] - 1) == [3]
    assert await numbers(mesh) == [3]
    told = (await mesh.events(type="log.pruned"))[0]
    assert told["data"]["oldest_seq"] == kept["seq"]
    assert told["seq"] == kept["seq"] + 1


async def test_pruning_by_time_leaves_what_is_younger_and_twice_changes_nothing(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await post(alice, 0)
    mesh.clock.advance(3_600)
    kept = await post(alice, 1)
    first = await mesh.post("/v1/log/prune", before=kept["at"])
    again = await mesh.post("/v1/log/prune", before=kept["at"])
    assert first["oldest_seq"] == again["oldest_seq"] == kept["seq"]
    assert (again["events"], again["path"]) == (0, None)
    assert len(await mesh.events(type="log.pruned")) == 1
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/log/prune", before=kept["seq"])
    assert refused.value.code == "forbidden"
