"""An export is whole, in order, and comes in pages that stay small."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_an_export_holds_all_of_a_session_and_nothing_else(mesh: Mesh, limit: int) -> None:
    for name in ("other", "plan"):
        path = f"/v1/sessions/{name}"
        await mesh.post("/v1/sessions", session_id=name)
        chunks = [{"content": f"{name} {number}"} for number in range(7)]
        await mesh.post(f"{path}/chunks/batch", chunks=chunks)
        for key in ("a", "b", "c"):
            await mesh.post("/v1/memories", session_id=name, key=key, content=key)
        await mesh.post(f"{path}/artifacts", artifact_id="x", title="X", content="1")
        await mesh.post(f"{path}/tasks", task_id="t", goal="Write it")
    wrong = (await mesh.get("/v1/memories", session_id="plan", key="b"))["items"][0]
    await mesh.post(f"/v1/memories/{wrong['id']}/retract", reason="wrong")

    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = await mesh.get("/v1/sessions/plan/export", limit=limit, **more)
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [item["what"] for item in found] == [
        "session",
        *["chunk"] * 7,
        *["memory"] * 3,
        *["memory_version"] * 4,
        "artifact",
        "task",
    ]
    assert [item["content"] for item in found[1:8]] == [f"plan {number}" for number in range(7)]
    assert [(item["key"], item["status"]) for item in found[8:11]] == [
        ("a", "current"),
        ("b", "retracted"),
        ("c", "current"),
    ]
    assert found[16]["task"]["goal"] == "Write it"


async def test_pages_of_large_chunks_hold_few_of_them(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    for number in range(5):
        await mesh.post(
            "/v1/sessions/plan/chunks", content=str(number) * (limits.CONTENT_PAGE_BYTES_MAX // 2)
        )
    first = await mesh.get("/v1/sessions/plan/export")
    second = await mesh.get("/v1/sessions/plan/export", cursor=first["next_cursor"])
    assert len(second["items"]) == 2


async def test_a_cursor_that_is_none_of_ours_is_refused(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    for cursor in ("x", "WzksbnVsbF0", "WzEsMl0"):
        with pytest.raises(Refused) as caught:
            await mesh.get("/v1/sessions/plan/export", cursor=cursor)
        assert caught.value.status == 422
