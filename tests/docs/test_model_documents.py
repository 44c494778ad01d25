"""Every JSON block of the documents for models is sent to a real server, and answered as they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness import Mesh
from repomesh.surfaces.inbound.commands import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("LLM_SESSION_API.md", "CHATGPT_INTEGRATION.md", "CLAUDE_MOBILE_INTEGRATION.md")
DIFFERS = "…"  # what stands on a page for what differs each time


def blocks(page: str) -> list[Any]:
    """The JSON blocks of a page, in their order."""
    return [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    ]


def others(shown: Any, real: Any, place: str = "") -> list[str]:
    """Where an answer is not what the page shows; it may have members that the page leaves out."""
    if shown == DIFFERS:
        return [] if real else [f"{place} is empty"]
    if isinstance(shown, dict) and isinstance(real, dict):
        missing = [f"{place}.{name} is missing" for name in shown if name not in real]
        there = [name for name in shown if name in real]
        return missing + [one for name in there for one in others(shown[name], real[name], f"{place}.{name}")]
    if isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        pairs = enumerate(zip(shown, real, strict=True))
        return [one for number, pair in pairs for one in others(*pair, f"{place}.{number}")]
    return [] if shown == real else [f"{place} is {real!r}"]


@pytest.mark.anyio
@pytest.mark.parametrize("page", PAGES)
async def test_every_block_is_answered_as_the_page_says(mesh: Mesh, page: str) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    key = {"X-API-Key": alice.token or ""}
    found = blocks(page)
    assert found
    for number, block in enumerate(found):
        if "command" not in block:
            assert "command" in found[number - 1], "an answer stands behind its request"
            continue
        answer = await mesh.http.post("/v1/webhook", json=block, headers=key)
        following = found[number + 1] if number + 1 < len(found) else {}
        shown = following if "command" not in following else {}
        assert others(shown or {"status": "success"}, answer.json()) == [], block


def test_what_is_not_as_shown_is_found() -> None:
    real = {"id": "a", "items": [{"n": 1}], "more": 1}
    assert others({"id": DIFFERS, "items": [{"n": 1}]}, real) == []
    assert others({"id": "b", "items": [{"n": 2}], "gone": 1}, real) == [
        ".gone is missing",
        ".id is 'a'",
        ".items.0.n is 1",
    ]


def test_every_command_is_shown_at_work() -> None:
    shown = {block.get("command") for block in blocks(PAGES[0])}
    assert set(COMMANDS) <= shown
