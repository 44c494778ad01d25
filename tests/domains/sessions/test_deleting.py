"""A session goes with all that hangs on it: at once, or in pieces when it is large."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from harness import Mesh, Refused, Speaker
from repomesh.domains.sessions import tables
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.store.tables import documents, idempotency_records

pytestmark = pytest.mark.anyio

TABLES = (
    tables.sessions,
    tables.session_participants,
    tables.chunks,
    tables.memories,
    tables.memory_versions,
    tables.artifacts,
    tables.artifact_versions,
    tables.session_summaries,
    tables.session_tasks,
)


def left(mesh: Mesh) -> dict[str, int]:
    """How many rows there are of each table, and of the full-text index but for tasks and messages."""
    ours = select(documents).where(documents.c.type.in_(("chunk", "memory", "artifact")))
    statements = {table.name: select(table) for table in TABLES} | {"documents": ours}
    caller = system_caller("")
    return {
        name: len(mesh.server.store.read_now(caller, lambda tx, one=one: tx.execute(one).all()))
        for name, one in statements.items()
    }


async def test_a_session_goes_with_all_that_hangs_on_it(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.post("/v1/sessions", session_id="kept", participants=["Ann"])
    await mesh.post("/v1/sessions/kept/chunks", content="kept words")
    before = left(mesh)
    path = "/v1/sessions/gone"
    await mesh.post("/v1/sessions", session_id="gone", participants=["Ann", "Bob"])
    await mesh.post(f"{path}/chunks/batch", chunks=[{"content": "gone words"}] * 3)
    await mesh.post("/v1/memories", session_id="gone", key="k", content=1)
    await mesh.post("/v1/memories", session_id="gone", key="k", content=2)
    await mesh.post(f"{path}/artifacts", title="A", artifact_id="a", content="x")
    done = await mesh.post(f"{path}/tasks", goal="Done")
    claimed = await alice.post(f"/v1/tasks/{done['task']['id']}/claim")
    held = {"fencing_token": claimed["fencing_token"]}
    await alice.post(f"/v1/tasks/{done['task']['id']}/complete", result="it is", **held)
    begun = await mesh.post(f"{path}/tasks", goal="Begun")
    await alice.post(f"/v1/tasks/{begun['task']['id']}/claim")
    with pytest.raises(Refused) as caught:
        await alice.delete(path)
    assert caught.value.code == "not_your_session"

    answer = await mesh.delete(path, reason="over")
    assert answer["done"]
    erased = answer["erased"]
    assert (erased["chunks"], erased["memory_keys"], erased["artifact_ids"]) == (3, ["k"], ["a"])
    assert erased["tasks"] == 2
    assert left(mesh) == before
    statuses = {task["goal"]: task["status"] for task in (await mesh.get("/v1/tasks"))["items"]}
    assert statuses == {"Done": "done", "Begun": "cancelled"}
    [event] = [event for event in await mesh.events() if event["type"] == "session.deleted"]
    assert (event["data"]["erased"], event["data"]["reason"]) == (erased, "over")
    await mesh.post("/v1/sessions", session_id="gone")
    assert (await mesh.get("/v1/sessions/gone"))["counts"]["chunks"] == 0


async def test_a_large_session_goes_in_pieces_and_takes_nothing_meanwhile(mesh: Mesh) -> None:
    path = "/v1/sessions/large"
    before = left(mesh)
    await mesh.post("/v1/sessions", session_id="large")
    for _ in range(8):
        await mesh.post(f"{path}/chunks/batch", chunks=[{"content": "some words"}] * 200)
    answer = await mesh.delete(path)
    assert not answer["done"]
    assert answer["erased"]["chunks"] == limits.ERASED_ROWS_MAX
    assert (await mesh.get(path))["status"] == "deleting"
    for attempt in (
        mesh.post(f"{path}/chunks", content="x"),
        mesh.post(f"{path}/resume"),
        mesh.post("/v1/sessions", session_id="large"),
    ):
        with pytest.raises(Refused) as caught:
            await attempt
        assert caught.value.status == 409
    again = await mesh.delete(path)  # goes on by a piece, beside the sweeps
    assert (again["done"], again["erased"]["chunks"] >= 2 * limits.ERASED_ROWS_MAX) == (False, True)
    for _ in range(3):
        await mesh.sweep()
    assert left(mesh) == before
    [event] = [event for event in await mesh.events() if event["type"] == "session.deleted"]
    assert event["data"]["erased"]["chunks"] == 1_600


async def test_large_contents_go_a_few_at_a_time(mesh: Mesh) -> None:
    path = "/v1/sessions/large"
    await mesh.post("/v1/sessions", session_id="large")
    for _ in range(3):
        await mesh.post(f"{path}/chunks", content="word " * (limits.ERASED_BYTES_MAX // 10))
    assert (await mesh.delete(path))["erased"]["chunks"] == 2
    await mesh.sweep()
    assert left(mesh)["documents"] == 0


WORDS = "zeppelin"


async def fill(speaker: Speaker, path: str, headers: dict[str, str] | None = None) -> None:
    """A session in which a word stands in each place where one can stand."""
    session_id = path.rpartition("/")[2]
    about = {"title": WORDS, "context": {"a": WORDS}, "metadata": {"b": WORDS}, "participants": [WORDS]}
    await speaker.post("/v1/sessions", headers, session_id=session_id, **about)
    await speaker.patch(path, title=f"{WORDS} again")
    chunk = {"content": WORDS, "speaker": WORDS, "tags": [WORDS], "metadata": {"c": WORDS}}
    await speaker.post(f"{path}/chunks", headers, **chunk)
    memory = {"session_id": session_id, "key": "k", "type": "decision"}
    made = await speaker.post("/v1/memories", headers, content=WORDS, **memory)
    await speaker.post(f"/v1/memories/{made['id']}/retract", headers, reason=WORDS)
    await speaker.post("/v1/memories", content={"again": WORDS}, **memory)
    await speaker.post(f"{path}/artifacts", headers, artifact_id="a", title=WORDS, content=WORDS)


async def read_by(speaker: Speaker) -> str:
    """All that somebody reads of a workspace."""
    paths = ("/v1/events?limit=200", "/v1/sessions", "/v1/memories", f"/v1/search?text={WORDS}")
    answers = [(await speaker.request("GET", path)).text for path in paths]
    answers.append((await speaker.request("POST", "/v1/recall", json={"text": WORDS})).text)
    return "".join(answers)


async def test_nothing_of_a_deleted_session_is_read_any_more(mesh: Mesh) -> None:
    alice, observer = await mesh.agent("alice"), await mesh.observer()
    await mesh.post("/v1/memories", key="kept", content={"session_id": "gone", "text": "kept words"})
    await fill(mesh, "/v1/sessions/gone", {"Idempotency-Key": "k1"})
    before = {event["seq"]: event["type"] for event in await mesh.events()}
    assert WORDS in await read_by(observer)
    assert (await mesh.delete("/v1/sessions/gone"))["done"]
    for speaker in (mesh, alice, observer):
        assert WORDS not in await read_by(speaker)
    events = {event["seq"]: event for event in await mesh.events()}
    assert {seq: events[seq]["type"] for seq in before} == before
    told = [event["data"] for event in events.values() if event["type"] == "memory.retracted"]
    assert told == [{"redacted": True, "reason": "its session was deleted", "session_id": "gone"}]
    assert "kept words" in await read_by(observer)
    with pytest.raises(Refused) as caught:
        await mesh.post("/v1/memories", {"Idempotency-Key": "k1"}, session_id="gone", key="k", content=WORDS,
                        type="decision")  # fmt: skip
    assert (caught.value.status, caught.value.code) == (409, "answer_erased")
    records = select(idempotency_records.c.result)
    results = mesh.server.store.read_now(system_caller(""), lambda tx: tx.execute(records).scalars().all())
    assert not any(WORDS.encode() in bytes(result) for result in results)


async def test_a_session_that_goes_in_pieces_is_read_by_nobody_from_the_first_on(mesh: Mesh) -> None:
    observer = await mesh.observer()
    await fill(mesh, "/v1/sessions/large")
    for _ in range(3):
        await mesh.post("/v1/sessions/large/chunks/batch", chunks=[{"content": WORDS}] * 200)
    memory_id = (await mesh.get("/v1/memories"))["items"][0]["id"]
    assert not (await mesh.delete("/v1/sessions/large"))["done"]
    assert left(mesh)["memories"] == 1
    assert WORDS not in await read_by(observer)
    assert WORDS not in (await mesh.request("GET", "/v1/sessions/large")).text
    paths = [
        f"/v1/sessions/large/{part}"
        for part in ("chunks", "artifacts", "summary", "tasks", "export", "artifacts/a")
    ]
    paths += [
        "/v1/memories?session_id=large",
        f"/v1/memories/{memory_id}",
        f"/v1/memories/{memory_id}/versions",
    ]
    for path in paths:
        answer = await observer.request("GET", path)
        assert answer.status_code == 404 or WORDS not in answer.text, path
    await mesh.sweep()
    assert left(mesh)["chunks"] == 0
