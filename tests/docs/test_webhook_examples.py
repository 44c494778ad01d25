"""The webhooks in the documents are taken as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness import Mesh
from repomesh.surfaces.inbound.commands import COMMANDS

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"


async def test_every_webhook_of_the_page_is_taken(mesh: Mesh) -> None:
    bodies = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    assert len(bodies) >= 2
    for body in sorted(bodies, key=lambda body: body["command"] != "batch"):  # which makes the session
        answer = await mesh.http.post("/v1/webhook", json=body, headers={"X-API-Key": mesh.token or ""})
        assert answer.json()["status"] == "success", answer.text


def test_the_page_names_every_command() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE.read_text()))
    assert set(COMMANDS) <= named
