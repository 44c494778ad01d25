"""A seat in a meeting: somebody's socket to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from harness import Speaker
from live import LiveMesh, Wire, opened

ASKS = ("opinion_request", "consensus_request")


class Seat(Wire):
    """Speaks in one meeting."""

    def __init__(self, wire: Wire, meeting_id: str) -> None:
        super().__init__(wire.raw)
        self.meeting_id = meeting_id
        self.connected: Any = None
        self._kept: list[Any] = []

    async def next(self, *types: str, timeout_s: float = 20) -> Any:
        """The next frame of one of the types, or of any but `position`; others are kept for later."""
        for frame in self._kept:
            if not types or frame["type"] in types:
                self._kept.remove(frame)
                return frame
        while True:
            frame = await super().next(timeout_s=timeout_s)
            if frame["type"] in types or (not types and frame["type"] != "position"):
                return frame
            if frame["type"] != "position":
                self._kept.append(frame)

    async def do(self, type_: str, **fields: Any) -> Any:
        """Send a frame of this meeting; answers what came of it, `accepted` or `error`."""
        await self.send(type_, **{"meeting_id": self.meeting_id} | fields)
        return await self.next("accepted", "error")

    async def say(self, content: str = "I think so.", **fields: Any) -> None:
        """Speak when asked."""
        asked = await self.next(*ASKS)
        assert asked["type"] == "opinion_request", asked
        assert (await self.do("opinion", content=content, **fields))["type"] == "accepted"

    async def vote(self, *, agrees: bool | None, **fields: Any) -> Any:
        """Vote when asked; answers the request."""
        asked = await self.next(*ASKS)
        assert asked["type"] == "consensus_request", asked
        assert (await self.do("consensus_vote", agrees=agrees, **fields))["type"] == "accepted"
        return asked

    async def hear(self, *until: str) -> list[Any]:
        """The meeting's events up to the first of one of these names."""
        heard: list[Any] = []
        while not heard or heard[-1]["event"] not in until:
            heard.append(await self.next("meeting_event"))
        return heard


@asynccontextmanager
async def seat(
    live: LiveMesh, speaker: Speaker | None, meeting: Any, *, ready: bool = True, **options: Any
) -> AsyncIterator[Seat]:
    """A socket to a meeting; `agent_id` and `after` go into its URL."""
    query = {name: options.pop(name) for name in ("agent_id", "after", "token") if name in options}
    path = f"/v1/ws/meetings/{meeting['id']}" + (f"?{urlencode(query)}" if query else "")
    async with opened(live, path, speaker, **options) as wire:
        taken = Seat(wire, meeting["id"])
        if ready:
            taken.connected = await taken.next()
            assert taken.connected["type"] == "connected", taken.connected
        yield taken
