"""What depends on a task that failed or was cancelled is blocked, and whoever can act is notified."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


async def task(speaker: Speaker, goal: str, *dependencies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    ids = [dependency["id"] for dependency in dependencies]
    made: dict[str, Any] = await speaker.post("/v1/tasks", goal=goal, dependencies=ids, **fields)
    return made


async def cancel(speaker: Speaker, cancelled: dict[str, Any], reason: str = "not needed") -> None:
    await speaker.post(f"/v1/tasks/{cancelled['id']}/cancel", reason=reason)


async def fail(agent: Speaker, failed: dict[str, Any]) -> None:
    claimed = await agent.post(f"/v1/tasks/{failed['id']}/claim")
    token = claimed["fencing_token"]
    await agent.post(f"/v1/tasks/{failed['id']}/fail", fencing_token=token, reason="no way")


async def state(mesh: Mesh, of: dict[str, Any]) -> tuple[str, bool, str]:
    shown = await mesh.get(f"/v1/tasks/{of['id']}")
    return shown["status"], shown["ready"], shown["reason"]


async def notices(agent: Speaker) -> list[str]:
    messages = (await agent.get("/v1/messages"))["items"]
    return [message["body"] for message in messages if "task-blocked" in message["tags"]]


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_dependency_that_is_never_done_blocks_what_depends_on_it(mesh: Mesh, how: str) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    first = await task(mesh, "first")
    second = await task(alice, "second", first)
    third = await task(alice, "third", second)
    await (cancel(mesh, first) if how == "cancelled" else fail(bob, first))
    status, ready, reason = await state(mesh, second)
    assert (status, ready) == ("blocked", False)
    assert first["id"] in reason
    assert reason.endswith("was cancelled: not needed" if how == "cancelled" else "failed: no way")
    assert (await state(mesh, third))[0] == "open"  # it waits for one that may still be done
    [event] = await mesh.events(type="task.blocked")
    assert (event["task_id"], event["data"]["reason"]) == (second["id"], reason)
    [notice] = await notices(alice)
    assert second["id"] in notice
    assert await notices(bob) == []


async def test_a_task_that_loses_its_holder_too_often_blocks_what_depends_on_it(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    first = await task(mesh, "first", max_attempts=1)
    second = await task(mesh, "second", first)
    await alice.post(f"/v1/tasks/{first['id']}/claim", ttl_s=60)
    mesh.clock.advance(120)
    await mesh.server.sweeper.run_once()
    assert [(await state(mesh, one))[0] for one in (first, second)] == ["failed", "blocked"]


async def test_a_task_is_blocked_from_the_start_by_what_ended_before_it(mesh: Mesh) -> None:
    first = await task(mesh, "first")
    await cancel(mesh, first)
    second = await task(mesh, "second", first)
    assert second["status"] == "blocked"
    changed = await task(mesh, "third")
    changed = await mesh.patch(f"/v1/tasks/{changed['id']}", dependencies=[first["id"]])
    assert changed["status"] == "blocked"


async def test_other_dependencies_open_what_the_old_ones_blocked(mesh: Mesh) -> None:
    first, instead, later = await task(mesh, "first"), await task(mesh, "instead"), await task(mesh, "later")
    second = await task(mesh, "second", first)
    await cancel(mesh, first)
    path = f"/v1/tasks/{second['id']}"
    with pytest.raises(Refused) as refused:
        await mesh.post(f"{path}/unblock", reason="try it")
    assert (refused.value.problem["code"], refused.value.problem["unmet"]) == (
        "dependencies_unmet",
        [first["id"]],
    )
    await cancel(mesh, instead, "nor this")
    still = await mesh.patch(path, dependencies=[instead["id"]])
    assert (still["status"], still["reason"][-8:]) == ("blocked", "nor this")
    waiting = await mesh.patch(path, dependencies=[later["id"]])
    assert (waiting["status"], waiting["ready"], waiting["reason"]) == ("open", False, "")
    await cancel(mesh, later)
    opened = await mesh.patch(path, dependencies=[])
    assert (opened["status"], opened["ready"]) == ("open", True)
    assert [event["task_id"] for event in await mesh.events(type="task.unblocked")] == [second["id"]] * 2
    assert [event["task_id"] for event in await mesh.events(type="task.ready")] == [second["id"]]


async def test_what_a_person_blocked_stays_blocked_when_its_dependencies_change(mesh: Mesh) -> None:
    first = await task(mesh, "first")
    second = await task(mesh, "second", first)
    await mesh.post(f"/v1/tasks/{second['id']}/block", reason="the customer must decide")
    await cancel(mesh, first)
    assert (await state(mesh, second))[2] == "the customer must decide"
    changed = await mesh.patch(f"/v1/tasks/{second['id']}", dependencies=[])
    assert changed["status"] == "blocked"


async def test_who_holds_a_dependent_is_notified_and_it_is_blocked_once_it_is_given_back(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    second, first = await task(mesh, "second"), await task(mesh, "first")
    claimed = await alice.post(f"/v1/tasks/{second['id']}/claim")
    await mesh.patch(f"/v1/tasks/{second['id']}", dependencies=[first["id"]])
    await cancel(mesh, first)
    assert (await state(mesh, second))[0] == "claimed"
    assert len(await notices(alice)) == 1
    token = claimed["fencing_token"]
    released = await alice.post(f"/v1/tasks/{second['id']}/release", fencing_token=token)
    assert released["status"] == "blocked"


async def test_a_notice_names_a_bounded_number_of_tasks(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    first = await task(mesh, "first")
    for number in range(limits.BLOCKED_NAMED_MAX + 2):
        await task(alice, f"dependent {number}", first)
    await cancel(mesh, first)
    [notice] = await notices(alice)
    assert notice.count("- dependent") == limits.BLOCKED_NAMED_MAX
    assert "- and 2 more" in notice
