"""What tests of messaging say and look for."""

from __future__ import annotations

from typing import Any

from harness import Mesh, Speaker


async def say(speaker: Speaker, *to: str, body: str = "hello", **fields: Any) -> Any:
    """Send a message; without `to` it is an answer."""
    if to:
        fields["to"] = list(to)
    return await speaker.post("/v1/messages", body=body, **fields)


async def bodies(speaker: Speaker, path: str = "/v1/messages/inbox", **params: Any) -> list[str]:
    """The bodies of a list of messages, in its order."""
    return [item["body"] for item in (await speaker.get(path, **params))["items"]]


async def receipt(speaker: Speaker, message_id: str, agent: Speaker) -> Any:
    """One recipient's receipt, as `speaker` sees it."""
    page = await speaker.get(f"/v1/messages/{message_id}/receipts")
    return next(item for item in page["items"] if item["agent_id"] == agent.id)


async def settled(mesh: Mesh) -> None:
    """Wait until what was queued behind answers is done."""
    await mesh.server.dispatch.close()
