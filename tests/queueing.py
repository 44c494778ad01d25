"""Submits changes to the merge queue, and waits for what becomes of them."""

from __future__ import annotations

from typing import Any

from harness import Mesh, Speaker

CHECKED = """
[[checks]]
name = "no bad words"
command = "! grep -rq bad --include=*.txt ."
timeout = 20
"""
"""The `repomesh.toml` of a branch whose text files must not hold a word."""


async def landed(mesh: Mesh, *ids: str) -> list[dict[str, Any]]:
    """The changes as they are when nothing moves any more."""
    await mesh.server.merge_queue.run_once()
    for _ in range(20):
        shown = [await mesh.get(f"/v1/changes/{id_}") for id_ in ids]
        if not any(change["state"] in ("queued", "building", "checking", "landing") for change in shown):
            return shown
        await mesh.server.merge_queue.run_once()
    raise AssertionError([change["state"] for change in shown])


async def submit(agent: Speaker, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await agent.post("/v1/changes", **({"summary": "a change"} | fields))
    return made
