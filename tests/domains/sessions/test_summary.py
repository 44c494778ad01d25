"""A summary counts and quotes what is there, within a budget."""

from __future__ import annotations

import pytest

from harness import Mesh
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


async def test_a_summary_says_what_became_of_a_session(mesh: Mesh) -> None:
    path = "/v1/sessions/plan"
    await mesh.agent("bob")
    await mesh.post("/v1/sessions", session_id="plan", title="Plan", participants=["Ann"])
    for number, speaker in enumerate(("Ann", "Bob", "Ann")):
        await mesh.post(f"{path}/chunks", speaker=speaker, content=f"word {number}\nand more")
    for key, kind in (("d", "decision"), ("q", "question"), ("a", "action_item"), ("n", "note")):
        await mesh.post("/v1/memories", session_id="plan", key=key, type=kind, content=f"{kind} " * 200)
    wrong = await mesh.post("/v1/memories", session_id="plan", key="w", type="decision", content="wrong")
    await mesh.post(f"/v1/memories/{wrong['id']}/retract", reason="it was a guess")
    await mesh.post(f"{path}/artifacts", artifact_id="x", title="The code", content="1")
    await mesh.post(f"{path}/tasks", task_id="t", goal="Write it", agent="bob")
    await mesh.post(f"{path}/complete", reason="shipped")

    said = await mesh.get(f"{path}/summary")
    assert (said["session"]["status"], said["speakers"]) == ("completed", ["Ann", "Bob"])
    assert [len(said[name]) for name in ("decisions", "open_questions", "action_items")] == [1, 1, 1]
    assert said["decisions"][0]["text"].endswith("…")
    assert (said["artifacts"][0]["title"], said["tasks"][0]["agent"]) == ("The code", "bob")
    timeline = [(moment["what"], moment["text"]) for moment in said["timeline"]]
    assert timeline[0] == ("session", "created")
    assert timeline[1] == ("chunk", "Ann: word 0 and more")
    assert timeline[-1] == ("session", "completed shipped")
    assert said == await mesh.get(f"{path}/summary")
    short = await mesh.request("GET", f"{path}/summary?max_chars=2000")
    assert len(short.text) <= 2_000
    assert short.json()["omitted"]
    assert short.json()["decisions"]


async def test_what_was_corrected_last_is_told_first(mesh: Mesh) -> None:
    await mesh.post("/v1/sessions", session_id="plan")
    for number in range(limits.SUMMARY_ITEMS_MAX + 1):
        await mesh.post(
            "/v1/memories", session_id="plan", key=f"d{number}", content=f"decided {number}", type="decision"
        )
        await mesh.post("/v1/sessions/plan/artifacts", artifact_id=f"a{number}", title="a", content="x")
    await mesh.post("/v1/memories", session_id="plan", key="d0", content="corrected", type="decision")
    await mesh.post("/v1/sessions/plan/artifacts", artifact_id="a0", title="a", content="corrected")
    summary = await mesh.get("/v1/sessions/plan/summary")
    assert [one["key"] for one in summary["decisions"]][:2] == ["d0", f"d{limits.SUMMARY_ITEMS_MAX}"]
    assert summary["artifacts"][0]["artifact_id"] == "a0"
