"""The meeting in the documents is held as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness import Mesh

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "meetings.md"


async def test_the_meeting_of_the_page_ends_in_its_decision(mesh: Mesh) -> None:
    calling, opinion, vote = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    ]
    speakers = [await mesh.agent(name) for name in calling["participant_ids"]]
    path = f"/v1/meetings/{(await speakers[0].post('/v1/meetings', **calling))['id']}"
    for speaker in speakers:
        await speaker.post(f"{path}/speak", **opinion)
    for speaker in speakers:
        await speaker.post(f"{path}/vote", **vote)
    whole = await mesh.get(path)
    assert whole["decision"]["decision"] == opinion["proposal"]
    assert len(whole["decision"]["task_ids"]) == len(opinion["tasks"])
