"""What tests of meetings say and look for."""

from __future__ import annotations

from typing import Any

from harness import Mesh, Speaker


async def called(caller: Speaker, *members: Speaker, topic: str = "Which parser?", **fields: Any) -> Any:
    """Call a meeting and start it."""
    named = [member.name for member in members]
    return await caller.post("/v1/meetings", topic=topic, participant_ids=named, start=True, **fields)


async def say(speaker: Speaker, meeting: Any, content: str = "I think so.", **fields: Any) -> Any:
    """Speak in a meeting."""
    return await speaker.post(f"/v1/meetings/{meeting['id']}/speak", content=content, **fields)


async def vote(speaker: Speaker, meeting: Any, choice: str = "agree", **fields: Any) -> Any:
    """Vote in a meeting."""
    return await speaker.post(f"/v1/meetings/{meeting['id']}/vote", choice=choice, **fields)


async def show(speaker: Speaker, meeting: Any) -> Any:
    """The meeting as it is now."""
    return await speaker.get(f"/v1/meetings/{meeting['id']}")


async def request(speaker: Speaker, meeting: Any, **params: Any) -> Any:
    """What the meeting asks of somebody."""
    return await speaker.get(f"/v1/meetings/{meeting['id']}/request", **params)


async def types(mesh: Mesh, meeting: Any) -> list[str]:
    """The types of a meeting's events, in their order."""
    page = await mesh.get(f"/v1/meetings/{meeting['id']}/replay", limit=200)
    return [event["type"] for event in page["items"]]


async def inbox(speaker: Speaker, **params: Any) -> list[Any]:
    """What somebody received, newest first."""
    items: list[Any] = (await speaker.get("/v1/messages/inbox", **params))["items"]
    return items
