"""Sessions are opened, found, paused and ended, and take nothing but while they are active."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def ids(mesh: Mesh, **criteria: Any) -> list[str]:
    return [session["id"] for session in (await mesh.get("/v1/sessions", **criteria))["items"]]


async def refused(speaker: Speaker, path: str, **body: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await speaker.post(path, **body)
    return caught.value


async def test_a_session_keeps_what_it_was_made_with(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await alice.post(
        "/v1/sessions",
        session_id="login_2-plan",
        title="Plan the login",
        participants=["Ann", "alice", "Ann"],
        context={"goal": "passkeys", "limits": [1, 2.5, None]},
        metadata={"phone": True},
    )
    assert (made["status"], made["created_by"], made["version"]) == ("active", "alice", 1)
    assert made["participants"] == ["Ann", "alice"]
    assert made["context"] == {"goal": "passkeys", "limits": [1, 2.5, None]}
    shown = await mesh.get("/v1/sessions/login_2-plan")
    assert {name: shown[name] for name in made} == made
    assert shown["counts"] == {"chunks": 0, "chunk_bytes": 0, "memories": 0, "artifacts": 0, "tasks": 0}


async def test_an_id_that_is_no_slug_or_is_taken_is_refused(mesh: Mesh) -> None:
    for bad in ("", "Upper", "a b", "ä", "a/b", "x" * 65):
        assert (await refused(mesh, "/v1/sessions", session_id=bad)).status == 422
    await mesh.post("/v1/sessions", session_id="x" * 64)
    taken = await refused(mesh, "/v1/sessions", session_id="x" * 64)
    assert (taken.status, taken.code) == (409, "session_exists")


async def test_sessions_are_found_by_what_they_are(mesh: Mesh) -> None:
    for number in range(5):
        await mesh.post("/v1/sessions", session_id=f"s{number}", participants=["Ann"] if number % 2 else [])
    await mesh.post("/v1/sessions/s1/pause", reason="lunch")
    assert await ids(mesh) == ["s4", "s3", "s2", "s1", "s0"]
    assert await ids(mesh, participant="Ann") == ["s3", "s1"]
    assert await ids(mesh, status="paused") == ["s1"]
    made = (await mesh.get("/v1/sessions/s3"))["created_at"]
    assert await ids(mesh, since=made) == ["s4", "s3"]
    page = await mesh.get("/v1/sessions", limit=2)
    following = await mesh.get("/v1/sessions", limit=2, cursor=page["next_cursor"])
    assert [one["id"] for one in following["items"]] == ["s2", "s1"]
    short = await mesh.get("/v1/sessions", max_chars=900)
    assert 0 < len(short["items"]) < 5
    assert short["omitted"]
    await mesh.patch("/v1/sessions/s3", participants=["Bob"])
    assert await ids(mesh, participant="Ann") == ["s1"]


async def test_a_session_that_is_not_active_refuses_what_would_change_it(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    path = "/v1/sessions/plan"
    await mesh.post(f"{path}/artifacts", title="A", artifact_id="a", content="x")
    memory = await mesh.post("/v1/memories", session_id="plan", key="k", content="v")
    await mesh.post(f"{path}/pause", reason="lunch")
    attempts: list[tuple[str, dict[str, Any]]] = [
        (f"{path}/chunks", {"content": "x"}),
        (f"{path}/chunks/batch", {"chunks": [{"content": "x"}]}),
        (f"{path}/artifacts", {"title": "A", "artifact_id": "a", "content": "y"}),
        (f"{path}/tasks", {"goal": "Work"}),
        ("/v1/memories", {"session_id": "plan", "key": "k", "content": "w"}),
        (f"/v1/memories/{memory['id']}/retract", {"reason": "wrong"}),
        (f"{path}/pause", {}),
    ]
    for where, body in attempts:
        answer = await refused(mesh, where, **body)
        assert (answer.status, answer.code) == (409, "session_not_active"), where
        assert answer.problem["session_status"] == "paused"
        assert answer.problem["hint"] == "Resume it first."
    await mesh.post(f"{path}/resume")
    await mesh.post(f"{path}/chunks", content="x")
    await mesh.post(f"{path}/complete", reason="shipped")
    for where, body in attempts:
        answer = await refused(mesh, where, **body)
        assert answer.problem["session_status"] == "completed", where
    assert (await refused(mesh, f"{path}/resume")).code == "session_not_active"
    assert len((await mesh.get(f"{path}/chunks"))["items"]) == 1


async def test_only_the_version_that_was_read_is_changed(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    changed = await mesh.patch("/v1/sessions/plan", headers={"If-Match": '"1"'}, title="Better")
    assert (changed["title"], changed["version"]) == ("Better", 2)
    with pytest.raises(Refused) as caught:
        await mesh.patch("/v1/sessions/plan", headers={"If-Match": '"1"'}, title="Worse")
    assert caught.value.code == "stale_version"
    assert (await mesh.patch("/v1/sessions/plan", title="Better"))["version"] == 2


async def test_a_session_belongs_to_its_workspace(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    other = await mesh.post("/v1/workspaces", name="other")
    stranger = Speaker(mesh.http, other["token"])
    with pytest.raises(Refused) as caught:
        await stranger.get("/v1/sessions/plan")
    assert caught.value.code == "session_not_found"
    await stranger.post("/v1/sessions", session_id="plan", title="Another")
    assert (await mesh.get("/v1/sessions/plan"))["title"] == "plan"


async def test_json_that_can_not_be_kept_is_refused_with_its_field(mesh: Mesh) -> None:
    for bad in ({"n": 2**70}, {"long": "x" * 20_001}):
        answer = await refused(mesh, "/v1/sessions", session_id="plan", context=bad)
        assert answer.problem["errors"][0]["field"] == "context"
    assert await ids(mesh) == []


async def test_a_change_from_one_to_true_is_a_change(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan", context={"on": 1}, metadata={"flags": [0]})
    changed = await mesh.patch("/v1/sessions/plan", context={"on": True}, metadata={"flags": [False]})
    assert (changed["version"], changed["context"]["on"], changed["metadata"]["flags"]) == (2, True, [False])
    assert (await mesh.patch("/v1/sessions/plan", context={"on": True}))["version"] == 2


async def test_an_idempotency_key_knows_the_same_request_and_no_other(mesh: Mesh) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await mesh.post("/v1/sessions", headers, session_id="plan", context={"a": 1, "b": 2})
    assert await mesh.post("/v1/sessions", headers, session_id="plan", context={"b": 2.0, "a": 1}) == first
    with pytest.raises(Refused) as caught:
        await mesh.post("/v1/sessions", headers, session_id="plan", context={"a": True, "b": 2})
    assert caught.value.code == "idempotency_conflict"
