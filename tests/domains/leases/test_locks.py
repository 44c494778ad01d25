"""Agents lock what they edit, are told no where they collide, and lose what they can't keep."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def lock(who: Speaker, *resources: str, **fields: Any) -> Any:
    return await who.post("/v1/locks/acquire", resources=list(resources), **fields)


async def refused(who: Speaker, *resources: str, **fields: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        await lock(who, *resources, **fields)
    return refusal.value


async def held(mesh: Mesh, **criteria: Any) -> list[tuple[str, str]]:
    page = await mesh.get("/v1/locks", **criteria)
    return [(one["agent_name"], one["resource"]) for one in page["items"]]


async def test_a_collision_names_holder_resource_and_expiry_and_takes_nothing(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    taken = await lock(alice, "src/", ttl_s=60, note="moving things")
    assert taken["locks"][0]["resource"] == "src/**"
    refusal = await refused(bob, "docs/a.md", "src/app.py")
    assert (refusal.status, refusal.code) == (409, "lock_conflict")
    conflict = refusal.problem["conflicts"][0]
    assert (conflict["wanted"], conflict["resource"]) == ("src/app.py", "src/**")
    assert conflict["holder_name"] == "alice"
    assert conflict["expires_at"] >= taken["expires_at"]  # later when a heartbeat has renewed it
    assert (conflict["note"], conflict["waiting"]) == ("moving things", False)
    assert "alice" in conflict["hint"]
    assert await held(mesh) == [("alice", "src/**")]


async def test_all_locks_of_a_request_carry_one_token_and_each_request_a_higher_one(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    first = await lock(alice, "a.py", "port:8080", "b/*.py")
    assert {one["fencing_token"] for one in first["locks"]} == {first["fencing_token"]}
    second = await lock(bob, "c.py")
    assert second["fencing_token"] > first["fencing_token"]
    both = await lock(alice, "a.py", "d.py")
    assert both["fencing_token"] > second["fencing_token"]


async def test_taking_again_extends_and_keeps_the_token(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    first = await lock(alice, "a.py", ttl_s=60)
    mesh.clock.advance(30)
    again = await lock(alice, "./a.py", ttl_s=60)
    assert again["fencing_token"] == first["fencing_token"]
    assert again["expires_at"] > first["expires_at"]
    assert len(await held(mesh)) == 1


async def test_shared_locks_stand_together_until_one_wants_more(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, "src/**", mode="shared")
    await lock(bob, "src/app.py", mode="shared")
    assert (await refused(alice, "src/**")).code == "lock_conflict"
    await bob.post("/v1/locks/release", resources=["src/app.py"])
    upgraded = await lock(alice, "src/**")
    assert upgraded["locks"][0]["mode"] == "exclusive"
    assert (await lock(alice, "src/**", mode="shared"))["locks"][0]["mode"] == "exclusive"
    assert (await refused(bob, "src/app.py", mode="shared")).code == "lock_conflict"


async def test_what_lies_outside_the_repository_is_refused_with_a_hint(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    outside = {"/etc/passwd": "absolute", "../x": "'..'", "C:/x": "absolute", "a\\b": "backslash"}
    for resource, word in (outside | {"é" * 1_010: "bytes"}).items():
        refusal = await refused(alice, "ok.py", resource)
        assert (refusal.status, refusal.code) == (422, "invalid_resource")
        assert refusal.problem["errors"][0]["field"] == "resources.1"
        assert word in refusal.problem["detail"]
        assert refusal.problem["hint"]
    assert await held(mesh) == []


async def test_an_expired_lock_is_free_and_its_token_worthless(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    old = await lock(alice, "src/app.py", ttl_s=10)
    mesh.clock.advance(11)
    with pytest.raises(Refused) as lapsed:
        await alice.post("/v1/locks/renew", fencing_token=old["fencing_token"])
    assert (lapsed.value.status, lapsed.value.code) == (409, "lease_expired")
    new = await lock(bob, "src/*.py")
    assert new["fencing_token"] > old["fencing_token"]
    with pytest.raises(Refused) as stale:
        await alice.post("/v1/locks/renew", fencing_token=old["fencing_token"])
    assert (stale.value.code, stale.value.problem["holder_name"]) == ("stale_fencing_token", "bob")
    expired = await mesh.events(type="lease.expired")
    assert expired[0]["data"]["leases"][0]["fencing_token"] == old["fencing_token"]
    assert expired[0]["recipient_id"] == alice.id


async def test_another_agents_token_renews_and_releases_nothing(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    taken = await lock(alice, "a.py")
    for path in ("/v1/locks/renew", "/v1/locks/release"):
        with pytest.raises(Refused) as refusal:
            await bob.post(path, fencing_token=taken["fencing_token"])
        assert (refusal.value.status, refusal.value.code) == (409, "not_holder")
    with pytest.raises(Refused) as refusal:
        await bob.post("/v1/locks/release", resources=["a.py"])
    assert "'alice' holds 'a.py'" in refusal.value.problem["detail"]
    assert await held(mesh) == [("alice", "a.py")]


async def test_locks_are_released_by_token_by_resource_or_by_both(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    first = await lock(alice, "a.py", "b.py", "c.py")
    await lock(alice, "d.py")
    part = await alice.post(
        "/v1/locks/release", fencing_token=first["fencing_token"], resources=["a.py", "d.py"]
    )
    assert [one["resource"] for one in part["locks"]] == ["a.py"]
    assert part["not_held"] == ["d.py"]
    await alice.post("/v1/locks/release", fencing_token=first["fencing_token"])
    assert await held(mesh) == [("alice", "d.py")]
    await alice.post("/v1/locks/release", resources=["d.py"])
    assert await held(mesh) == []
    with pytest.raises(Refused) as refusal:
        await alice.post("/v1/locks/release")
    assert refusal.value.status == 422


async def test_locks_are_found_by_agent_path_and_folder_in_pages(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, "src/**", "port:80")
    await lock(bob, *(f"docs/{number}.md" for number in range(5)))
    assert await held(mesh, agent="alice") == [("alice", "src/**"), ("alice", "port:80")]
    assert await held(mesh, path="src/deep/app.py") == [("alice", "src/**")]
    assert await held(mesh, path="port:80") == [("alice", "port:80")]
    assert len(await held(mesh, prefix="docs/")) == 5
    assert await held(mesh, prefix="doc") == []
    for criteria in ({}, {"path": "**"}):
        found, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = await mesh.get("/v1/locks", limit=2, **criteria, **more)
            found += [one["resource"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found[:6] == [*(f"docs/{number}.md" for number in range(5)), "src/**"]


async def test_anybody_may_check_and_checking_takes_nothing(mesh: Mesh) -> None:
    alice, observer = await mesh.agent("alice"), await mesh.observer()
    await lock(alice, "src/**")
    blocked = await observer.post("/v1/locks/check", resources=["src/*/a.py", "docs/a.md"])
    assert (blocked["free"], [one["holder_name"] for one in blocked["conflicts"]]) == (False, ["alice"])
    assert (await alice.post("/v1/locks/check", resources=["src/*/a.py"]))["free"] is True
    assert (await observer.post("/v1/locks/check", resources=["docs/a.md"]))["free"] is True
    assert (await refused(observer, "docs/a.md")).status == 403
    assert len(await held(mesh)) == 1


async def test_an_admin_takes_a_lock_away_with_a_reason(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    taken = await lock(alice, "a.py", "b.py")
    with pytest.raises(Refused) as refusal:
        await alice.post("/v1/locks/force-release", resources=["a.py"], reason="mine")
    assert refusal.value.status == 403
    with pytest.raises(Refused) as refusal:
        await mesh.post("/v1/locks/force-release", resources=["a.py"], reason="")
    assert refusal.value.status == 422
    await mesh.post("/v1/locks/force-release", resources=["a.py"], reason="alice is on holiday")
    event = (await mesh.events(type="lease.reclaimed"))[0]
    assert (event["data"]["reason"], event["data"]["note"]) == ("forced", "alice is on holiday")
    assert (event["recipient_id"], event["principal"][:6]) == (alice.id, "owner:")
    with pytest.raises(Refused) as refusal:
        await alice.post("/v1/locks/renew", fencing_token=taken["fencing_token"], resources=["a.py"])
    assert refusal.value.code == "lease_expired"
    with pytest.raises(Refused) as refusal:
        await mesh.post("/v1/locks/force-release", agent="alice", resources=["a.py"], reason="again")
    assert refusal.value.status == 404


async def test_silence_gives_back_what_was_held(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await lock(alice, "a.py", ttl_s=3600)
    await mesh.server.implicit_heartbeats.stop()  # the sign of life that comes behind the answer
    mesh.clock.advance(91)
    await lock(bob, "b.py", ttl_s=3600)
    await mesh.sweep()
    assert await held(mesh) == [("bob", "b.py")]
    event = (await mesh.events(type="lease.reclaimed"))[0]
    assert (event["data"]["reason"], event["recipient_id"]) == ("abandoned", alice.id)


async def test_a_revoked_token_gives_back_what_was_held_under_it(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    assert alice.registration is not None
    await lock(alice, "a.py")
    await mesh.delete(f"/v1/tokens/{alice.registration['token_id']}")
    await mesh.sweep()
    assert await held(mesh) == []
    assert (await mesh.events(type="lease.reclaimed"))[0]["data"]["reason"] == "revoked"


async def test_another_token_of_the_agent_does_not_keep_what_a_revoked_one_took(mesh: Mesh) -> None:
    made = await mesh.post("/v1/tokens", role="agent", agent="alice")
    alice = Speaker(mesh.http, made["token"], "alice")
    await alice.post("/v1/agents/register")
    await lock(alice, "a.py")
    await mesh.delete(f"/v1/tokens/{made['token_id']}")
    await mesh.sweep()
    assert await held(mesh) == []


async def test_who_takes_over_goes_on_with_what_was_held(mesh: Mesh) -> None:
    alice = await mesh.agent("alice", instance_id="one")
    taken = await lock(alice, "a.py")
    again = await mesh.agent("alice", instance_id="two", force=True)
    await mesh.sweep()
    assert await held(mesh) == [("alice", "a.py")]
    with pytest.raises(Refused) as zombie:
        await alice.post("/v1/locks/renew", fencing_token=taken["fencing_token"])
    assert zombie.value.status == 401
    await again.post("/v1/locks/renew", fencing_token=taken["fencing_token"])
    assert again.registration is not None
    await mesh.delete(f"/v1/tokens/{again.registration['token_id']}")
    await mesh.sweep()
    assert await held(mesh) == []


async def test_who_leaves_holds_nothing(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await lock(alice, "a.py")
    await alice.post(f"/v1/agents/{alice.id}/leave")
    await mesh.sweep()
    assert await held(mesh) == []


async def test_a_replayed_acquire_answers_the_same_locks(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    key = {"Idempotency-Key": "once"}
    first = await lock(alice, "a.py", headers=key)
    assert await lock(alice, "a.py", headers=key) == first
    assert len(await mesh.events(type="lease")) == 1


async def test_a_lock_needs_an_agent(mesh: Mesh) -> None:
    assert (await refused(mesh, "a.py")).code == "agent_required"


async def test_what_stands_below_a_file_conflicts_with_it(mesh: Mesh) -> None:
    """Of many files each is looked below; a pattern that only might fit something there does not count."""
    bob = await mesh.agent("bob")
    await bob.post("/v1/locks/acquire", resources=["n/x.py", "m/*.py", "file-20/a/b", "**/*.md"])
    files = [f"file-{number}" for number in range(30)]
    answer = await mesh.post("/v1/locks/check-paths", paths=["n", "m", "n0", "n.d", *files])
    on = {one["wanted"]: one["resource"] for one in answer["conflicts"]}
    assert on == {"n": "n/x.py", "m": "m/*.py", "file-20": "file-20/a/b"}
