"""Agents claim tasks, hold them, and part with them."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def claim(agent: Speaker, task_id: str = "next", **options: Any) -> dict[str, Any]:
    claimed: dict[str, Any] = await agent.post(f"/v1/tasks/{task_id}/claim", **options)
    return claimed


async def finish(agent: Speaker, claimed: dict[str, Any], how: str, **options: Any) -> dict[str, Any]:
    path = f"/v1/tasks/{claimed['task']['id']}/{how}"
    task: dict[str, Any] = await agent.post(path, fencing_token=claimed["fencing_token"], **options)
    return task


async def test_a_task_is_claimed_worked_on_and_done(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await mesh.post("/v1/tasks", goal="Write it")
    claimed = await claim(alice, made["id"], ttl_s=60)
    assert claimed["task"]["status"] == "claimed"
    assert claimed["task"]["agent_name"] == "alice"
    assert claimed["fencing_token"] == claimed["task"]["fencing_token"]
    assert claimed["expires_at"] > claimed["task"]["updated_at"]
    half = await finish(alice, claimed, "progress", note="half of it", percent=50)
    assert (half["percent"], half["note"]) == (50, "half of it")
    done = await finish(alice, claimed, "complete", result="It is *written*.")
    assert (done["status"], done["result"], done["agent_id"]) == ("done", "It is *written*.", alice.id)
    shown = await mesh.get(f"/v1/tasks/{made['id']}")
    assert [(one["agent_name"], one["outcome"]) for one in shown["history"]] == [("alice", "done")]


async def test_a_claimed_task_is_refused_to_others_with_its_holder(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made = await mesh.post("/v1/tasks", goal="Only one")
    claimed = await claim(alice, made["id"])
    with pytest.raises(Refused) as refused:
        await claim(bob, made["id"])
    assert refused.value.code == "task_claimed"
    assert refused.value.problem["holder_name"] == "alice"
    assert refused.value.problem["expires_at"] >= claimed["expires_at"]
    with pytest.raises(Refused) as again:
        await claim(alice, made["id"])
    assert again.value.problem["fencing_token"] == claimed["fencing_token"]
    with pytest.raises(Refused) as none_left:
        await claim(bob)
    assert (none_left.value.status, none_left.value.code) == (404, "no_task_ready")


async def test_next_is_the_best_that_the_agent_can_do(mesh: Mesh) -> None:
    python = await mesh.agent("python", capabilities=["python"])
    plain = await mesh.agent("plain")
    await mesh.post("/v1/tasks", goal="old", priority=1)
    await mesh.post("/v1/tasks", goal="new", priority=1)
    await mesh.post("/v1/tasks", goal="special", priority=9, capabilities=["python"])
    await mesh.post("/v1/tasks", goal="foreign", priority=10, capabilities=["python", "cobol"])
    assert (await claim(plain))["task"]["goal"] == "old"
    assert [(await claim(python))["task"]["goal"] for _ in range(2)] == ["special", "new"]
    with pytest.raises(Refused) as refused:
        await claim(python)
    assert refused.value.problem["missing_capabilities"] == ["cobol"]


async def test_next_looks_behind_many_that_do_not_fit(mesh: Mesh) -> None:
    plain = await mesh.agent("plain")
    for _ in range(60):
        await mesh.post("/v1/tasks", goal="foreign", capabilities=["cobol"])
    await mesh.post("/v1/tasks", goal="fitting", priority=-1)
    assert (await claim(plain))["task"]["goal"] == "fitting"


async def test_a_task_waits_for_its_dependencies_and_is_told_when_ready(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    first = await mesh.post("/v1/tasks", goal="first")
    second = await mesh.post("/v1/tasks", goal="second", dependencies=[first["id"]], priority=9)
    with pytest.raises(Refused) as refused:
        await claim(alice, second["id"])
    assert refused.value.code == "dependencies_unmet"
    assert refused.value.problem["unmet"] == [first["id"]]
    done = await claim(alice)
    assert done["task"]["id"] == first["id"]
    await finish(alice, done, "complete")
    ready = await mesh.get(f"/v1/tasks/{second['id']}")
    assert (ready["ready"], ready["unmet_dependencies"], ready["version"]) == (True, [], 2)
    [told] = await mesh.events(type="task.ready")
    assert (told["task_id"], told["data"]["completed_dependency"]) == (second["id"], first["id"])
    assert (await claim(alice))["task"]["id"] == second["id"]


async def test_a_task_made_to_wait_while_claimed_is_not_completed(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    second = await mesh.post("/v1/tasks", goal="second")
    claimed = await claim(alice)
    first = await alice.post("/v1/tasks", goal="found on the way")
    await alice.patch(f"/v1/tasks/{second['id']}", dependencies=[first["id"]])
    with pytest.raises(Refused) as refused:
        await finish(alice, claimed, "complete")
    assert refused.value.code == "dependencies_unmet"
    assert (await finish(alice, claimed, "release"))["ready"] is False
    assert (await claim(alice))["task"]["id"] == first["id"]


async def test_capabilities_are_needed_also_by_id(mesh: Mesh) -> None:
    alice = await mesh.agent("alice", capabilities=["python"])
    made = await mesh.post("/v1/tasks", goal="tune", capabilities=["python", "sql"])
    with pytest.raises(Refused) as refused:
        await claim(alice, made["id"])
    assert refused.value.code == "capabilities_missing"
    assert refused.value.problem["missing"] == ["sql"]


async def test_a_released_task_is_free_and_its_old_token_dead(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await mesh.post("/v1/tasks", goal="hot potato")
    first = await claim(alice)
    given_back = await finish(alice, first, "release", reason="out of context")
    assert (given_back["status"], given_back["agent_id"], given_back["attempts"]) == ("open", None, 0)
    with pytest.raises(Refused) as too_late:
        await finish(alice, first, "complete")
    assert too_late.value.code == "lease_expired"
    second = await claim(bob)
    assert second["fencing_token"] > first["fencing_token"]
    for how in ("renew", "progress", "complete", "release", "block", "fail"):
        with pytest.raises(Refused) as stale:
            await finish(alice, first, how, **({"reason": "x"} if how in ("block", "fail") else {}))
        assert stale.value.code == "stale_fencing_token"
    with pytest.raises(Refused) as borrowed:
        await finish(alice, second, "complete")
    assert borrowed.value.code == "not_holder"


async def test_what_is_over_refuses_everything_and_says_so(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.post("/v1/tasks", goal="short")
    claimed = await claim(alice)
    await finish(alice, claimed, "complete")
    for how in ("complete", "release"):
        with pytest.raises(Refused) as refused:
            await finish(alice, claimed, how)
        assert refused.value.code == "task_status"
        assert (refused.value.problem["task_status"], refused.value.problem["possible"]) == ("done", [])


async def test_a_failure_with_retry_opens_it_until_the_attempts_are_used_up(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.post("/v1/tasks", goal="flaky", max_attempts=2)
    once = await finish(alice, await claim(alice), "fail", reason="first blow", retry=True)
    assert (once["status"], once["attempts"]) == ("open", 1)
    twice = await finish(alice, await claim(alice), "fail", reason="second blow", retry=True)
    assert (twice["status"], twice["attempts"]) == ("failed", 2)
    assert twice["reason"] == "lost its holder 2 times: alice: first blow; alice: second blow"


async def test_a_blocked_task_waits_until_it_is_unblocked(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made = await mesh.post("/v1/tasks", goal="needs keys", scope=["vault/"])
    claimed = await claim(alice, take_locks=True)
    with pytest.raises(Refused) as refused:
        await bob.post(f"/v1/tasks/{made['id']}/block", reason="I say so")
    assert refused.value.code == "fencing_token_missing"
    blocked = await finish(alice, claimed, "block", reason="waiting for keys")
    assert (blocked["status"], blocked["reason"], blocked["agent_id"]) == (
        "blocked",
        "waiting for keys",
        None,
    )
    with pytest.raises(Refused) as not_now:
        await claim(bob, made["id"])
    assert not_now.value.problem["possible"] == ["unblock", "cancel", "update"]
    opened = await bob.post(f"/v1/tasks/{made['id']}/unblock", reason="keys are here")
    assert opened["ready"] is True
    assert (await claim(bob, take_locks=True))["locks"][0]["resource"] == "vault/**"


async def test_who_may_cancel_what_somebody_holds(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    made = await alice.post("/v1/tasks", goal="changed my mind")
    claimed = await claim(bob)
    with pytest.raises(Refused) as refused:
        await carol.post(f"/v1/tasks/{made['id']}/cancel", reason="no")
    assert refused.value.code == "not_your_task"
    cancelled = await alice.post(f"/v1/tasks/{made['id']}/cancel", reason="no longer wanted")
    assert cancelled["status"] == "cancelled"
    with pytest.raises(Refused) as over:
        await finish(bob, claimed, "complete")
    assert over.value.code == "task_status"
    assert "no longer wanted" in over.value.problem["detail"]


async def test_who_may_update_what_somebody_holds(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    made = await alice.post("/v1/tasks", goal="as alice wants it")
    assert (await carol.patch(f"/v1/tasks/{made['id']}", priority=1))["priority"] == 1
    await claim(bob)
    with pytest.raises(Refused) as refused:
        await carol.patch(f"/v1/tasks/{made['id']}", goal="as carol wants it")
    assert refused.value.code == "not_your_task"
    for caller, priority in ((bob, 2), (alice, 3), (mesh, 4)):
        assert (await caller.patch(f"/v1/tasks/{made['id']}", priority=priority))["priority"] == priority


async def test_the_scope_is_locked_with_the_claim_or_nothing_is(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    wide = await mesh.post("/v1/tasks", goal="wide", scope=["src/**", "docs/a.md"], priority=2)
    narrow = await mesh.post("/v1/tasks", goal="narrow", scope=["src/app.py"], priority=1)
    other = await mesh.post("/v1/tasks", goal="other", scope=["web/"])
    held = await claim(alice, take_locks=True)
    assert [lock["resource"] for lock in held["locks"]] == ["src/**", "docs/a.md"]
    assert {lock["fencing_token"] for lock in held["locks"]} == {held["fencing_token"]}
    with pytest.raises(Refused) as refused:
        await claim(bob, narrow["id"], take_locks=True)
    assert refused.value.code == "lock_conflict"
    assert (await mesh.get(f"/v1/tasks/{narrow['id']}"))["status"] == "open"
    assert (await claim(bob, take_locks=True))["task"]["id"] == other["id"]
    with pytest.raises(Refused) as none_free:
        await claim(bob, take_locks=True)
    assert none_free.value.problem["locked_task_ids"] == [narrow["id"]]
    await finish(alice, held, "complete")
    assert (await claim(bob, take_locks=True))["task"]["id"] == narrow["id"]
    assert (await mesh.get(f"/v1/tasks/{wide['id']}"))["status"] == "done"


async def test_renewing_holds_the_task_and_its_locks_longer(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.post("/v1/tasks", goal="long", scope=["src/"])
    claimed = await claim(alice, take_locks=True, ttl_s=60)
    renewed = await finish(alice, claimed, "renew", ttl_s=600)
    assert renewed["expires_at"] > claimed["expires_at"]
    assert renewed["locks"][0]["expires_at"] == renewed["expires_at"]
    mesh.clock.advance(61)
    assert (await finish(alice, renewed, "complete"))["status"] == "done"


async def test_one_operation_finishes_in_four_ways(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for outcome, status in (
        ("released", "open"),
        ("failed", "failed"),
        ("blocked", "blocked"),
        ("done", "done"),
    ):
        await mesh.post("/v1/tasks", goal=outcome, priority=1)
        reason = {} if outcome == "done" else {"reason": "because"}
        ended = await finish(alice, await claim(alice), "finish", outcome=outcome, **reason)
        assert ended["status"] == status
        if outcome == "released":
            await mesh.post(f"/v1/tasks/{ended['id']}/cancel", reason="enough")
    await mesh.post("/v1/tasks", goal="why?")
    with pytest.raises(Refused) as refused:
        await finish(alice, await claim(alice), "finish", outcome="failed")
    assert refused.value.status == 422


async def test_a_claim_is_done_by_an_agent(mesh: Mesh) -> None:
    await mesh.post("/v1/tasks", goal="for agents")
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/tasks/next/claim")
    assert refused.value.code == "agent_required"


async def test_a_task_that_needs_a_review_completes_when_it_is_approved(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    made = await mesh.post("/v1/tasks", goal="careful", review_required=True)
    claimed = await claim(alice)
    asked = {"title": "Look", "reviewers": ["bob"], "commit_range": "main..careful"}
    review = await alice.post("/v1/reviews", task_id=made["id"], **asked)
    for verdict in ("changes_requested", None):
        with pytest.raises(Refused) as refused:
            await finish(alice, claimed, "complete")
        assert refused.value.code == "review_required"
        if verdict is not None:
            await bob.post(f"/v1/reviews/{review['id']}/verdict", verdict=verdict, summary="hm")
    await bob.post(f"/v1/reviews/{review['id']}/verdict", verdict="approved", summary="good")
    assert (await finish(alice, claimed, "complete"))["status"] == "done"


async def test_a_claim_is_answered_within_a_budget(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    scope = [f"src/{number}.py" for number in range(30)]
    await mesh.post("/v1/tasks", goal="long", description="word " * 5000, scope=scope)
    claimed = await claim(alice, take_locks=True, max_chars=5000)
    assert len(claimed["locks"]) == 10
    assert claimed["omitted"] == "locks left out: 20; shortened: description, scope; raise max_chars"
    renewed = await finish(alice, claimed, "renew", max_chars=100_000)
    assert (len(renewed["locks"]), renewed["omitted"]) == (30, None)
    assert renewed["task"]["scope"] == scope
