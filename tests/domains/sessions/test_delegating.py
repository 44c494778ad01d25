"""Tasks that are handed out in a session stand on the board, and are followed from the session."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio

PATH = "/v1/sessions/work/tasks"


@pytest.fixture
async def work(mesh: Mesh) -> Mesh:
    """A mesh with a session."""
    await mesh.post("/v1/sessions", session_id="work")
    return mesh


async def refused(speaker: Speaker, path: str, **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await speaker.post(path, **body)
    return caught.value


async def test_a_task_for_one_agent_waits_in_its_inbox_and_is_claimed_by_nobody_else(work: Mesh) -> None:
    alice, bob = await work.agent("alice"), await work.agent("bob")
    made = await alice.post(PATH, goal="Write the parser", task_id="parser", agent="bob", priority=3)
    task = made["task"]
    assert (made["key"], task["assignee_name"], task["priority"]) == ("parser", "bob", 3)
    [message] = (await bob.get("/v1/messages/inbox"))["items"]
    assert task["id"] in message["body"]
    assert (await refused(alice, "/v1/tasks/next/claim")).code == "no_task_ready"
    other = await refused(alice, f"/v1/tasks/{task['id']}/claim")
    assert (other.status, other.code, other.problem["assignee_name"]) == (409, "task_assigned", "bob")
    claimed = await bob.post("/v1/tasks/next/claim")
    assert claimed["task"]["id"] == task["id"]
    held = {"fencing_token": claimed["fencing_token"]}
    await bob.post(f"/v1/tasks/{task['id']}/progress", note="half", percent=50, **held)
    [shown] = (await work.get(PATH, agent="bob"))["items"]
    assert (shown["task"]["percent"], shown["task"]["note"]) == (50, "half")
    await bob.post(f"/v1/tasks/{task['id']}/complete", result="merged", **held)
    assert [one["key"] for one in (await work.get(PATH, status="done"))["items"]] == ["parser"]


async def test_a_task_for_whoever_can_do_it(work: Mesh) -> None:
    alice, bob = await work.agent("alice"), await work.agent("bob", capabilities=["python"])
    await work.post(PATH, goal="Write the parser", capabilities=["python"])
    assert (await refused(alice, "/v1/tasks/next/claim")).code == "no_task_ready"
    assert (await bob.post("/v1/tasks/next/claim"))["task"]["goal"] == "Write the parser"


async def test_a_resend_is_answered_by_the_same_task(work: Mesh) -> None:
    first = await work.post(PATH, goal="A", task_id="a")
    assert (await work.post(PATH, goal="A", task_id="a"))["task"] == first["task"]
    assert (await refused(work, PATH, goal="B", task_id="a")).code == "task_key_taken"
    assert len((await work.get("/v1/tasks"))["items"]) == 1


async def test_tasks_of_a_session_wait_for_each_other_by_name(work: Mesh) -> None:
    await work.post(PATH, goal="A", task_id="a")
    second = await work.post(PATH, goal="B", depends_on=["a"])
    assert second["task"]["ready"] is False
    assert (await refused(work, PATH, goal="C", depends_on=["none"])).code == "session_task_not_found"


async def test_nobody_retired_or_unknown_is_given_work(work: Mesh) -> None:
    await work.agent("bob")
    await work.post("/v1/agents/bob/retire")
    assert (await refused(work, PATH, goal="A", agent="bob")).code == "agent_retired"
    assert (await refused(work, PATH, goal="A", agent="nobody")).code == "agent_not_found"
    assert (await work.get(PATH))["items"] == []
