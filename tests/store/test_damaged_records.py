"""A record that can't be read: it is told by an error of its own, and keeps nothing else from being read."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from sqlalchemy import Table, text

from domains.meetings.meeting import called
from harness import Mesh, Refused, Speaker
from repomesh.domains.leases.tables import leases
from repomesh.domains.meetings.tables import meetings
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.questions.tables import questions
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.identity import system_caller
from repomesh.store.filters import filter_for
from repomesh.store.log import read_after
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio

MANY = 2**63 - 1


async def _damage(mesh: Mesh, table: Table, id_: str, column: str, value: Any) -> None:
    """Write what only a fault of the disk or a foreign hand writes."""

    await _execute(mesh, f"UPDATE {table.name} SET {column} = :value WHERE id = :id", value=value, id=id_)


async def _execute(mesh: Mesh, statement: str, **values: Any) -> None:
    def work(tx: Transaction) -> None:
        tx.connection.execute(text(statement), values)

    home = (await mesh.get("/v1/workspace"))["id"]
    mesh.server.store.write_now(system_caller(home), work)


def _is_sqlite(mesh: Mesh) -> bool:
    return "sqlite" in type(mesh.server.store).__module__


def _require_sqlite(mesh: Mesh) -> None:
    if not _is_sqlite(mesh):
        pytest.skip("the types of PostgreSQL's columns exclude this damage")


async def _damaged_events(mesh: Mesh) -> tuple[list[int], list[int]]:
    """Five posted events, of which two can't be read: the numbers of the whole and of the damaged ones."""
    ann = await mesh.agent("ann")
    seqs = [(await ann.post("/v1/events", type="chat.line", data={"n": n}))["seq"] for n in range(5)]
    time = MANY if not _is_sqlite(mesh) else "x"
    await _execute(mesh, "UPDATE events SET at = :at WHERE seq = :seq", at=time, seq=seqs[1])
    await _execute(mesh, "UPDATE events SET data = :data WHERE seq = :seq", data="{", seq=seqs[2])
    return [seqs[0], *seqs[3:]], seqs[1:3]


async def test_damaged_events_are_left_out_of_the_list_and_named(mesh: Mesh) -> None:
    whole, damaged = await _damaged_events(mesh)
    page = await mesh.get("/v1/events", after=whole[0] - 1)
    assert [event["seq"] for event in page["items"]] == whole
    assert page["damaged"] == [f"event/{seq}" for seq in damaged]
    first = await mesh.get("/v1/events", after=whole[0] - 1, limit=2)
    rest = await mesh.get("/v1/events", after=whole[0] - 1, limit=10, cursor=first["next_cursor"])
    assert [event["seq"] for event in first["items"] + rest["items"]] == whole
    moment = (await mesh.get(f"/v1/events/{whole[-1]}"))["at"]
    assert whole[-1] in [event["seq"] for event in (await mesh.get("/v1/events", since=moment))["items"]]


@pytest.mark.parametrize("data", ["{", "7", b"\xff"])
async def test_a_damaged_event_is_named_when_it_is_asked_for(mesh: Mesh, data: str | bytes) -> None:
    if isinstance(data, bytes):
        _require_sqlite(mesh)
    ann = await mesh.agent("ann")
    seq = (await ann.post("/v1/events", type="chat.line"))["seq"]
    await _execute(mesh, "UPDATE events SET data = :data WHERE seq = :seq", data=data, seq=seq)
    with pytest.raises(Refused) as refused:
        await mesh.get(f"/v1/events/{seq}")
    assert refused.value.code == "damaged_record"
    assert refused.value.problem["record"] == {"seq": seq}


async def test_a_stream_goes_on_behind_damaged_events(mesh: Mesh) -> None:
    whole, _damaged = await _damaged_events(mesh)
    caller = system_caller((await mesh.get("/v1/workspace"))["id"])
    async with mesh.server.tails.subscribe(filter_for(caller, types=("chat",)), 0) as subscription:
        seqs = [event.seq for event in await subscription.next(1.0)]
        assert seqs == whole
        while subscription.position < whole[-1] or not subscription.live:
            await subscription.next(0.05)
        ann = await mesh.agent("ann", force=True)
        new = await ann.post("/v1/events", type="chat.line")
        assert [event.seq for event in await subscription.next(5.0)] == [new["seq"]]


async def test_a_tail_skips_what_is_damaged_when_it_comes(mesh: Mesh) -> None:
    """Rows that are damaged between their commit and their reading fail no listener."""
    whole, damaged = await _damaged_events(mesh)
    caller = system_caller((await mesh.get("/v1/workspace"))["id"])
    read = mesh.server.store.read_now(
        caller, lambda tx: read_after(tx.connection, caller.workspace_id, whole[0] - 1, 5)
    )
    assert (read.first, read.last, read.count, read.damaged) == (whole[0], whole[-1], 5, tuple(damaged))
    assert [event.seq for event in read.events] == whole


async def test_pruning_archives_the_rows_of_damaged_events(mesh: Mesh) -> None:
    whole, damaged = await _damaged_events(mesh)
    mesh.clock.advance(60)
    moment = (await mesh.get(f"/v1/events/{whole[-1]}"))["at"]
    pruned = await mesh.post("/v1/log/prune", before=moment)
    assert pruned["oldest_seq"] == whole[-1], "an event without a time is as old as the next one"
    with gzip.open(pruned["path"]) as file:
        lines = [orjson.loads(line) for line in file]
    kept = {line["seq"]: line["data"] for line in lines if line["type"] == "repomesh.damaged_event"}
    assert list(kept) == damaged
    assert kept[damaged[1]]["data"] == "{"
    assert kept[damaged[0]]["type"] == "chat.line"


LEASE_DAMAGES = [
    ("expires_at", MANY, "both"),
    ("mode", "weird", "both"),
    ("expires_at", "soon", "sqlite"),
    ("resource", b"\xff", "sqlite"),
]


async def _damaged_lease(mesh: Mesh, column: str, value: Any, where: str) -> tuple[Speaker, dict[str, Any]]:
    """An agent that holds two locks, and the first, which can't be read."""
    if where == "sqlite":
        _require_sqlite(mesh)
    wes = await mesh.agent("wes")
    broken, _whole = [
        (await wes.post("/v1/locks/acquire", resources=[path]))["locks"][0] for path in ("a.py", "b.py")
    ]
    await _damage(mesh, leases, broken["id"], column, value)
    return wes, broken


@pytest.mark.parametrize(("column", "value", "where"), LEASE_DAMAGES)
async def test_a_damaged_lease_locks_its_holder_out_of_nothing(
    mesh: Mesh, column: str, value: Any, where: str
) -> None:
    _wes, broken = await _damaged_lease(mesh, column, value, where)
    again = await mesh.agent("wes", force=True)
    briefing = (await again.get("/v1/briefing"))["text"]
    assert "b.py" in briefing
    assert broken["id"] in briefing
    page = await mesh.get("/v1/locks", agent="wes")
    assert [lock["resource"] for lock in page["items"]] == ["b.py"]
    await again.post("/v1/locks/acquire", resources=["c.py"])


@pytest.mark.parametrize(("column", "value", "where"), LEASE_DAMAGES)
async def test_the_owner_ends_a_damaged_lease(mesh: Mesh, column: str, value: Any, where: str) -> None:
    _wes, broken = await _damaged_lease(mesh, column, value, where)
    ann = await mesh.agent("ann")
    with pytest.raises(Refused) as refused:
        await ann.post("/v1/locks/acquire", resources=["a.py"])
    assert refused.value.code == "damaged_record"
    assert f"force-release --fencing-token {broken['fencing_token']}" in refused.value.problem["hint"]
    forced = await mesh.post("/v1/locks/force-release", agent="wes", reason="damaged")
    assert broken["id"] in [lock["id"] for lock in forced["locks"]]
    await ann.post("/v1/locks/acquire", resources=["a.py", "b.py"])


async def test_a_damaged_lease_keeps_no_other_from_expiring(mesh: Mesh) -> None:
    await _damaged_lease(mesh, "mode", "weird", "both")
    mesh.clock.advance(100_000)
    await mesh.sweep()
    assert (await mesh.get("/v1/locks"))["items"] == []
    ann = await mesh.agent("ann")
    await ann.post("/v1/locks/acquire", resources=["a.py", "b.py"])


async def test_a_damaged_task_is_not_offered_and_not_swept(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    broken = await mesh.post("/v1/tasks", goal="one", priority=4)
    await mesh.post("/v1/tasks", goal="two", priority=1)
    await _damage(mesh, tasks, broken["id"], "tags", "{no json")
    assert (await ann.post("/v1/tasks/next/claim"))["task"]["goal"] == "two"


async def test_a_damaged_question_keeps_no_other_from_its_deadline(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    asked = [
        await ann.post("/v1/questions", question=text, options=["a", "b"], default="a", deadline_s=60)
        for text in ("one?", "two?")
    ]
    await _damage(mesh, questions, asked[0]["id"], "options", "[")
    mesh.clock.advance(70)
    await mesh.sweep()
    assert (await mesh.get(f"/v1/questions/{asked[1]['id']}"))["status"] == "defaulted"


@pytest.mark.parametrize(("column", "value"), [("scope", "{no json"), ("scope", "7"), ("status", "odd")])
async def test_a_damaged_task_is_named_and_others_are_listed(mesh: Mesh, column: str, value: str) -> None:
    whole, broken, last = [await mesh.post("/v1/tasks", goal=goal) for goal in ("one", "two", "three")]
    await _damage(mesh, tasks, broken["id"], column, value)
    with pytest.raises(Refused) as refused:
        await mesh.get(f"/v1/tasks/{broken['id']}")
    assert (refused.value.status, refused.value.problem["code"]) == (500, "damaged_record")
    assert refused.value.problem["record"] == {"task_id": broken["id"]}
    assert "repomesh doctor" in refused.value.problem["hint"]
    page = await mesh.get("/v1/tasks")
    assert {task["id"] for task in page["items"]} == {whole["id"], last["id"]}
    (left_out,) = page["damaged"]
    assert broken["id"] in left_out
    first = await mesh.get("/v1/tasks", limit=2)
    rest = await mesh.get("/v1/tasks", limit=2, cursor=first["next_cursor"])
    assert len(first["items"]) + len(rest["items"]) == 2, "pages go on behind it"


async def test_a_damaged_message_is_left_out_of_a_list(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    sent = [await ben.post("/v1/messages", to=["ann"], body=body) for body in ("one", "two")]
    await _damage(mesh, messages, sent[0]["id"], "tags", "[")
    page = await ann.get("/v1/messages/inbox")
    assert [message["id"] for message in page["items"]] == [sent[1]["id"]]
    assert len(page["damaged"]) == 1


async def test_a_damaged_meeting_keeps_no_other_from_its_deadline(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    broken, whole = [await called(mesh, ann, ben, opinion_timeout_s=10.0) for _ in range(2)]
    await _damage(mesh, meetings, broken["id"], "flow", '{"round": "none"}')
    mesh.clock.advance(11)
    await mesh.sweep()
    assert (await mesh.get(f"/v1/meetings/{whole['id']}"))["speaker_name"] == "ben"


BAD_TEXT = "CAST(X'68FF' AS TEXT)"


async def _begin_session(mesh: Mesh, session_id: str) -> int:
    payload = {
        "hook_event_name": "SessionStart",
        "session_id": session_id,
        "source": "startup",
        "cwd": "/repo",
        "transcript_path": "/repo/t.jsonl",
    }
    response = await mesh.request("POST", "/v1/hooks/claude/SessionStart", json=payload)
    return int(response.status_code)


@pytest.mark.parametrize("column", ["processes", "cwd", "last_hook_at"])
async def test_a_damaged_cli_session_keeps_no_other_from_beginning(mesh: Mesh, column: str) -> None:
    _require_sqlite(mesh)
    assert await _begin_session(mesh, "one") == 200
    value = BAD_TEXT if column == "cwd" else "'{broken'"
    await _execute(mesh, f"UPDATE cli_sessions SET {column} = {value}")
    assert await _begin_session(mesh, "two") == 200


async def test_a_damaged_chunk_is_left_out_of_its_session_and_of_searches(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    await ann.post("/v1/sessions", session_id="talk")
    for name in ("one", "two"):
        await ann.post("/v1/sessions/talk/chunks", chunk_id=name, content=f"giraffe {name}")
    await _execute(mesh, "UPDATE chunks SET tags = '{broken' WHERE chunk_id = 'one'")
    page = await ann.get("/v1/sessions/talk/chunks")
    assert [chunk["chunk_id"] for chunk in page["items"]] == ["two"]
    assert page["damaged"]
    assert [item["key"] for item in (await ann.get("/v1/search", text="giraffe"))["items"]] == ["two"]


@pytest.mark.parametrize("column", ["capabilities", "resources", "last_seen_at", "status", "name", "version"])
async def test_a_damaged_agent_is_left_out_and_others_talk(mesh: Mesh, column: str) -> None:
    _require_sqlite(mesh)
    ann, ben, eve = [await mesh.agent(name) for name in ("ann", "ben", "eve")]
    is_text = column in ("status", "name")
    value = BAD_TEXT if is_text else "'{broken'"
    await _execute(mesh, f"UPDATE agents SET {column} = {value} WHERE name = 'eve'")
    page = await mesh.get("/v1/agents")
    assert {"ann", "ben"} <= {agent["name"] for agent in page["items"]}
    assert "eve" not in {agent["name"] for agent in page["items"]}
    assert len(page["damaged"]) == 1
    for to in (["ben"], ["*"]):
        await ann.post("/v1/messages", to=to, body="hello")
    assert len((await ben.get("/v1/messages/inbox"))["items"]) == 2
    assert (await ben.get("/v1/briefing"))["text"]
    for path in ("/v1/messages/inbox", "/v1/messages/wait?timeout_s=0", "/v1/briefing"):
        response = await eve.request("GET", path)
        assert response.status_code == 200 or response.json()["code"] == "damaged_record", path


async def test_participants_of_a_damaged_meeting_are_renamed(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben)
    await _damage(mesh, meetings, meeting["id"], "flow", '{"round": "none"}')
    assert (await ben.post("/v1/agents/ben/rename", name="bert"))["name"] == "bert"
