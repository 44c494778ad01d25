"""What people and the server do about the queue besides landing: take back, report, replay, ask, tidy up."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from queueing import CHECKED, landed, submit
from repomesh.domains.changes.queue import replaying
from repomesh.kernel import limits
from repositories import Scratch

pytestmark = pytest.mark.anyio


async def land(queue: Mesh, scratch: Scratch, agent: Speaker, name: str, files: dict[str, str]) -> Any:
    """A landed change of these files, made on the tip of main."""
    scratch.commit(files, on=scratch.git("rev-parse", "main"), branch=name)
    made = await submit(agent, branch=name, summary=f"Change {name}")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed", change
    return change


async def notices(agent: Speaker) -> list[str]:
    return [item["subject"] for item in (await agent.get("/v1/messages/inbox"))["items"]]


async def test_several_changes_are_taken_back_at_once(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    before = scratch.git("rev-parse", "main^{tree}")
    one = await land(queue, scratch, alice, "one", {"src/b.py": "x = 2\n"})
    two = await land(queue, scratch, alice, "two", {"src/b.py": "x = 3\n"})
    other = await land(queue, scratch, alice, "other", {"other.txt": "o\n"})
    plan = await alice.get("/v1/changes/rollback", change_ids=[one["id"]])
    assert [change["id"] for change in plan["dependants"]] == [two["id"]]
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/changes/rollback", change_ids=[one["id"]])
    assert refused.value.code == "rollback_dependants"
    made = await alice.post("/v1/changes/rollback", change_ids=[one["id"], two["id"]], reason="It broke.")
    assert made["rolls_back"] == [two["id"], one["id"]]
    [taken_back, first, kept] = await landed(queue, made["id"], one["id"], other["id"])
    assert (taken_back["state"], first["rolled_back_by"], kept["rolled_back_by"]) == (
        "landed",
        made["id"],
        None,
    )
    assert scratch.git("show", "main:src/b.py") == "x = 1"
    assert scratch.git("show", "main:other.txt") == "o"
    assert scratch.git("rev-parse", "main^{tree}") != before


async def test_a_branch_goes_back_to_a_commit(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    one = await land(queue, scratch, alice, "one", {"one.txt": "1\n"})
    goal = scratch.git("rev-parse", "main")
    two = await land(queue, scratch, alice, "two", {"two.txt": "2\n", "one.txt": "2\n"})
    by_hand = scratch.commit({"hand.txt": "h\n"}, on=scratch.git("rev-parse", "main"), branch="main")
    plan = await alice.get("/v1/changes/rollback", to=goal[:12])
    assert [change["id"] for change in plan["changes"]] == [two["id"]]
    assert plan["other_commits"] == 1
    made = await alice.post("/v1/changes/rollback", to=goal)
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"
    assert scratch.git("rev-parse", "main^{tree}") == scratch.git("rev-parse", f"{goal}^{{tree}}")
    assert scratch.git("merge-base", "main", by_hand) == by_hand
    for fields, code in (
        ({}, "rollback_scope"),
        ({"to": goal, "change_ids": [one["id"]]}, "rollback_scope"),
        ({"to": scratch.commit({"z": "z"}, on=goal, branch="aside")}, "rollback_scope"),
        ({"to": "nope"}, "revision_not_found"),
        ({"to": "main"}, "change_empty"),
    ):
        with pytest.raises(Refused) as refused:
            await alice.post("/v1/changes/rollback", **fields)
        assert refused.value.code == code, fields


async def test_a_change_of_several_commits_is_taken_back_whole(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.commit(
        {"repomesh.toml": '[queue]\nland = "rebase"\n'}, on=scratch.git("rev-parse", "main"), branch="main"
    )
    before = scratch.git("rev-parse", "main^{tree}")
    first = scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="work")
    scratch.commit({"two.txt": "2\n"}, on=first, branch="work")
    [change] = await landed(queue, (await submit(alice, branch="work"))["id"])
    assert scratch.git("rev-list", "--count", f"{first}..main") in ("2", "1")
    made = await alice.post("/v1/changes/rollback", change_ids=[change["id"]])
    await landed(queue, made["id"])
    assert scratch.git("rev-parse", "main^{tree}") == before


async def test_what_landed_is_counted_and_reported(queue: Mesh, scratch: Scratch) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    scratch.commit({"repomesh.toml": CHECKED}, on=scratch.git("rev-parse", "main"), branch="main")
    task = await pat.post("/v1/tasks", goal="Write it down")
    claim = await alice.post(f"/v1/tasks/{task['id']}/claim")
    scratch.commit({"n.txt": "good\n"}, on=scratch.git("rev-parse", "main"), branch="work")
    fields = {"branch": "work", "task_id": task["id"], "fencing_token": claim["fencing_token"]}
    good = await submit(alice, **fields)
    scratch.commit({"m.txt": "bad\n"}, on=scratch.git("rev-parse", "main"), branch="bad")
    bad = await submit(alice, branch="bad")
    await landed(queue, good["id"], bad["id"])
    statistics = await queue.get("/v1/queue/stats")
    assert (statistics["landed"], statistics["returned"], statistics["success_rate"]) == (1, 1, 0.5)
    assert statistics["failures"] == {"check": 1}
    assert statistics["merged_by"] == {"ort": 1}
    assert statistics["depth"] == {"returned": 1}
    assert statistics["wait_s"]["count"] == 1
    assert statistics["checks"]["runs"] >= 2
    [entry] = (await queue.get("/v1/queue/report"))["items"]
    assert (entry["id"], entry["author_name"], entry["task_goal"], entry["requested_by"]) == (
        good["id"],
        "alice",
        "Write it down",
        "pat",
    )
    assert [check["name"] for check in entry["checks"]] == ["no bad words"]
    assert (await queue.get("/v1/queue/report", since="2099-01-01T00:00:00Z"))["items"] == []
    metrics = (await queue.request("GET", "/metrics")).text
    assert 'repomesh_changes_open{state="returned"} 1.0' in metrics
    assert 'repomesh_changes_landed_total{merged_by="ort"} 1.0' in metrics
    assert 'repomesh_changes_failed_total{error_class="check"} 1.0' in metrics


async def test_the_branch_is_built_again_from_the_log(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    with pytest.raises(Refused) as refused:
        await queue.post("/v1/queue/replay")
    assert refused.value.code == "queue_not_found"
    await land(queue, scratch, alice, "one", {"one.txt": "1\n"})
    scratch.commit({"hand.txt": "h\n"}, on=scratch.git("rev-parse", "main"), branch="main")
    two = await land(queue, scratch, alice, "two", {"two.txt": "2\n"})
    replay = await queue.post("/v1/queue/replay")
    assert (replay["same"], replay["commits"], replay["other_commits"], replay["differing"]) == (
        True,
        2,
        1,
        [],
    )
    assert scratch.git("rev-parse", f"{replay['ref']}^{{tree}}") == scratch.git("rev-parse", "main^{tree}")
    assert scratch.git("rev-parse", "main") == two["landed_commit"]
    await queue.post("/v1/queue/replay")  # over the scratch ref of before


async def test_branches_that_are_built_again_keep_nobody_waiting(
    queue: Mesh, scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await queue.agent("alice")
    await land(queue, scratch, alice, "one", {"one.txt": "1\n"})
    agents = [await queue.agent(name) for name in ("bob", "carol", "dave", "erin")]
    replay, ready = replaying._replay, threading.Event()

    def slow(*arguments: Any) -> Any:
        ready.wait(20)
        return replay(*arguments)

    monkeypatch.setattr(replaying, "_replay", slow)
    replays = [asyncio.create_task(agent.post("/v1/queue/replay")) for agent in agents]
    await asyncio.sleep(0.1)
    scratch.commit({"two.txt": "2\n"}, on=scratch.git("rev-parse", "main"), branch="two")
    await submit(alice, branch="two")
    await alice.post("/v1/messages", to=["alice"], body="word " * 5_000)
    assert not any(task.done() for task in replays)
    ready.set()
    assert [answer["same"] for answer in await asyncio.gather(*replays)] == [True] * 4


async def test_a_lane_that_stands_still_raises_an_alarm_once(queue: Mesh, scratch: Scratch) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    await queue.server.merge_queue.stop()
    scratch.commit({"one.txt": "1\n"}, on=scratch.head(), branch="one")
    made = await submit(alice, branch="one")
    queue.clock.advance(limits.QUEUE_STALL_S - 60)
    await queue.sweep()
    assert await queue.events(type="queue.stalled") == []
    queue.clock.advance(120)
    for _ in range(2):
        await queue.sweep()
    [event] = await queue.events(type="queue.stalled")
    assert made["id"] in event["data"]["reason"]
    assert await notices(pat) == ["Merge queue of main stands still"]


async def test_a_missing_approval_is_asked_for_again_and_expires(queue: Mesh, scratch: Scratch) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    configuration = "[approval]\nlow = { people = 1 }\nescalates_h = 1\nexpires_h = 3\n"
    scratch.commit({"repomesh.toml": configuration}, on=scratch.git("rev-parse", "main"), branch="main")
    scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one", summary="Add one")
    await landed(queue, made["id"])
    assert await notices(pat) == ["Approval needed: Add one"]
    queue.clock.advance(timedelta(hours=1, minutes=1).total_seconds())
    await queue.server.merge_queue.run_once()
    assert (await notices(pat))[0] == "Approval is overdue: Add one"
    queue.clock.advance(timedelta(hours=2).total_seconds())
    [change] = await landed(queue, made["id"])
    assert (change["state"], change["error_class"]) == ("returned", "approval")
    again = await alice.post(f"/v1/changes/{made['id']}/retry")
    assert (again["state"], again["waits_for"]) == ("waiting", "approval")
    await pat.post(f"/v1/changes/{made['id']}/approve")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_a_task_completed_too_early_is_open_again(queue: Mesh, scratch: Scratch) -> None:
    alice, bob = await queue.agent("alice"), await queue.agent("bob")
    task = await queue.post("/v1/tasks", goal="Raise x")
    after = await queue.post("/v1/tasks", goal="Use x", dependencies=[task["id"]])
    claim = await alice.post(f"/v1/tasks/{task['id']}/claim")
    scratch.commit({"src/b.py": "x = 2\n"}, on=scratch.head(), branch="one")
    scratch.commit({"src/b.py": "x = 3\n"}, on=scratch.head(), branch="two")
    first = await submit(bob, branch="two", summary="Set x to three", priority=5)
    fencing = {"task_id": task["id"], "fencing_token": claim["fencing_token"]}
    second = await submit(alice, branch="one", **fencing)
    await alice.post(f"/v1/tasks/{task['id']}/complete", fencing_token=claim["fencing_token"])
    assert (await queue.get(f"/v1/tasks/{after['id']}"))["ready"]
    changes = await landed(queue, first["id"], second["id"])
    assert [change["state"] for change in changes] == ["landed", "returned"]
    reopened = await queue.get(f"/v1/tasks/{task['id']}")
    assert (reopened["status"], reopened["assignee_name"]) == ("open", "alice")
    dependent = await queue.get(f"/v1/tasks/{after['id']}")
    assert (dependent["ready"], dependent["unmet_dependencies"]) == (False, [task["id"]])
    [notice] = [
        item for item in (await alice.get("/v1/messages/inbox"))["items"] if "returned" in item["subject"]
    ]
    body = (await alice.get(f"/v1/messages/{notice['id']}"))["body"]
    assert "Set x to three" in body
    assert "open for you again" in body
    with pytest.raises(Refused) as refused:
        await bob.post(f"/v1/tasks/{task['id']}/claim")
    assert refused.value.code == "task_assigned"
    claim = await alice.post(f"/v1/tasks/{task['id']}/claim")
    await alice.post(f"/v1/tasks/{task['id']}/complete", fencing_token=claim["fencing_token"])
    assert (await queue.get(f"/v1/tasks/{after['id']}"))["ready"]


async def test_commits_are_kept_as_long_as_something_needs_them(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    old = await land(queue, scratch, alice, "old", {"old.txt": "o\n"})
    scratch.git("update-ref", "refs/repomesh/changes/01900000-0000-7000-8000-000000000000/1", "main")
    queue.clock.advance(limits.QUEUE_PINS_KEPT_S + limits.QUEUE_PINS_SWEEP_S)
    new = await land(queue, scratch, alice, "new", {"new.txt": "n\n"})
    refs = scratch.git("for-each-ref", "--format=%(refname)", "refs/repomesh/changes/").split()
    assert refs == [f"refs/repomesh/changes/{new['id']}/1"]
    assert old["id"] != new["id"]


async def test_people_are_told_of_a_change_on_which_git_fails_again_and_again(
    queue: Mesh, scratch: Scratch
) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    blocker = scratch.path / ".git/refs/heads/main.lock"
    blocker.touch()
    made = await submit(alice, branch="one", summary="Add one")
    for _ in range(limits.QUEUE_RETRIES_TOLD - 1):
        await landed(queue, made["id"])
        queue.clock.advance(max(limits.QUEUE_RETRIES_S) + 1)
    assert await notices(pat) == []
    await landed(queue, made["id"])
    assert await notices(pat) == ["Change does not get on: Add one"]
    blocker.unlink()
    queue.clock.advance(max(limits.QUEUE_RETRIES_S) + 1)
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_a_lane_that_was_paused_for_long_raises_an_alarm_when_it_stands_still(
    queue: Mesh, scratch: Scratch
) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one")
    await queue.post("/v1/queue/pause", reason="later")
    queue.clock.advance(limits.QUEUE_STALL_S + 1)
    await queue.sweep()
    await queue.server.merge_queue.stop()
    await queue.post("/v1/queue/resume")
    queue.clock.advance(limits.QUEUE_STALL_S + 1)
    await queue.sweep()
    [event] = await queue.events(type="queue.stalled")
    assert made["id"] in event["data"]["reason"]
    assert (await notices(pat))[0] == "Merge queue of main stands still"


async def test_what_a_person_paused_only_a_person_resumes(queue: Mesh, scratch: Scratch) -> None:
    alice, pat = await queue.agent("alice"), await queue.agent("pat", type="human")
    await land(queue, scratch, alice, "one", {"one.txt": "1\n"})
    await alice.post("/v1/queue/pause", reason="I look at it")
    await alice.post("/v1/queue/resume")
    for person, by in ((queue, "the owner"), (pat, "pat")):
        await alice.post("/v1/queue/pause", reason="I look at it")
        paused = await person.post("/v1/queue/pause", reason="release")
        assert [(lane["paused_by"], lane["paused_reason"]) for lane in paused["lanes"]] == [(by, "release")]
        with pytest.raises(Refused) as refused:
            await alice.post("/v1/queue/resume")
        assert refused.value.code == "paused_by_person"
        assert (await pat.post("/v1/queue/resume"))["lanes"][0]["paused"] is False


async def test_results_of_checks_are_forgotten_some_day(queue: Mesh, scratch: Scratch) -> None:
    alice = await queue.agent("alice")
    scratch.commit({"repomesh.toml": CHECKED}, on=scratch.git("rev-parse", "main"), branch="main")
    old = await land(queue, scratch, alice, "one", {"one.txt": "1\n"})
    queue.clock.advance(limits.CHECK_RESULTS_KEPT_S + 1)
    new = await land(queue, scratch, alice, "two", {"two.txt": "2\n"})
    checks = [(await alice.get(f"/v1/changes/{change['id']}"))["checks"] for change in (old, new)]
    assert [len(each) for each in checks] == [0, 1]


async def test_a_server_without_the_repository_leaves_a_lane_to_others_at_first(
    queue: Mesh, scratch: Scratch
) -> None:
    """Two servers on one database, on two machines: only one has the folder of the workspace."""
    alice = await queue.agent("alice")
    scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one")
    scratch.path.rename(scratch.path.with_name("elsewhere"))
    worker = queue.server.merge_queue
    await worker.run_once()
    shown = await alice.get(f"/v1/changes/{made['id']}")
    is_shared = queue.server.settings.database_url is not None
    assert shown["state"] == ("queued" if is_shared else "waiting")
    queue.clock.advance(limits.QUEUE_NO_REPOSITORY_S + 1)
    [shown] = await landed(queue, made["id"])
    assert (shown["state"], shown["error_class"]) == ("waiting", "infrastructure")


async def test_a_queue_is_paused_before_its_first_change(queue: Mesh, scratch: Scratch) -> None:
    paused = await queue.post("/v1/queue/pause", reason="not yet")
    assert [(lane["target"], lane["paused"]) for lane in paused["lanes"]] == [("main", True)]
    alice = await queue.agent("alice")
    scratch.commit({"one.txt": "1\n"}, on=scratch.git("rev-parse", "main"), branch="one")
    made = await submit(alice, branch="one")
    await queue.sweep()
    assert (await alice.get(f"/v1/changes/{made['id']}"))["state"] == "waiting"
    await queue.post("/v1/queue/resume")
    [change] = await landed(queue, made["id"])
    assert change["state"] == "landed"


async def test_a_workspace_without_a_repository_has_no_queue_to_pause(queue: Mesh) -> None:
    made = await queue.post("/v1/workspaces", name="elsewhere")
    with pytest.raises(Refused) as refused:
        await Speaker(queue.http, made["token"]).post("/v1/queue/pause", reason="not yet")
    assert refused.value.code == "queue_not_found"
