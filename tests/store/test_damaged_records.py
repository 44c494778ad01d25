"""A record that can't be read: it is told by an error of its own, and keeps nothing else from being read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, text

from domains.meetings.meeting import called
from harness import Mesh, Refused
from repomesh.domains.meetings.tables import meetings
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.identity import system_caller
from repomesh.store.transaction import Transaction

pytestmark = pytest.mark.anyio


async def _damage(mesh: Mesh, table: Table, id_: str, column: str, value: Any) -> None:
    """Write what only a fault of the disk or a foreign hand writes."""

    def work(tx: Transaction) -> None:
        statement = text(f"UPDATE {table.name} SET {column} = :value WHERE id = :id")
        tx.connection.execute(statement, {"value": value, "id": id_})

    home = (await mesh.get("/v1/workspace"))["id"]
    mesh.server.store.write_now(system_caller(home), work)


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
