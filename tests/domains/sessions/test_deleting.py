"""A session goes with all that hangs on it: at once, or in pieces when it is large."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from harness import Mesh, Refused
from repomesh.domains.sessions import tables
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.store.tables import documents

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
