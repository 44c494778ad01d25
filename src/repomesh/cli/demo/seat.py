"""A seat in the meeting of the demo: over MCP with the official client, or over the meeting's WebSocket.

What is asked comes as a message there and as a frame here; the parts that are played see no difference.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mcp.client.client import ConnectMode
from websockets.asyncio.client import ClientConnection, connect

from repomesh.cli.demo.agent import DemoAgent, ToolRefused, connected

_REQUEST = re.compile(r"in meeting (?P<meeting>[0-9a-f-]{36}), round (?P<round>\d+) of")
_QUESTIONS: dict[str, Literal["opinion", "vote"]] = {
    "opinion_request": "opinion",
    "consensus_request": "vote",
}
_OVER = ("Decided:", "No consensus:", "Cancelled:")  # how notices of the end begin


@dataclass(frozen=True, slots=True)
class MeetingPrompt:
    """What the meeting asks of a participant."""

    what: Literal["opinion", "vote"]
    round: int


class Seat(Protocol):
    """Where a participant is asked, speaks and votes."""

    async def asked(self) -> MeetingPrompt | None:
        """What is asked next; None when the meeting is over."""

    async def speak(self, asked: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises Refused."""

    async def vote(
        self, asked: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises Refused."""


class ToolSeat:
    """Over MCP: requests are messages, and two tools answer them."""

    def __init__(self, agent: DemoAgent) -> None:
        self._agent = agent
        self._meeting = ""

    async def asked(self) -> MeetingPrompt | None:
        """What is asked next; None when the meeting is over."""
        while True:
            heard = await self._agent.call("wait_for_messages", timeout_s=2)
            for message in heard["items"]:
                request = next((tag for tag in message["tags"] if tag in _QUESTIONS), None)
                if request is not None:
                    return self._request(_QUESTIONS[request], message["body"])
                await self._agent.call("acknowledge_message", message_id=message["id"])
                if message["subject"].startswith(_OVER):
                    return None

    def _request(self, what: Literal["opinion", "vote"], body: str) -> MeetingPrompt:
        found = _REQUEST.search(body)
        assert found is not None, body
        self._meeting = found["meeting"]
        return MeetingPrompt(what, int(found["round"]))

    async def speak(self, asked: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises Refused."""
        said = {"meeting_id": self._meeting, "round": asked.round, "content": content} | further
        await self._agent.call("speak_in_meeting", **said)

    async def vote(
        self, asked: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises Refused."""
        said = {"meeting_id": self._meeting, "round": asked.round, "choice": choice, "reason": reason}
        await self._agent.call("vote_in_meeting", **said | ({"amendment": amendment} if amendment else {}))


class SocketSeat:
    """Over the meeting's WebSocket: frames in both directions."""

    def __init__(self, socket: ClientConnection, meeting: str) -> None:
        self._socket = socket
        self._meeting = meeting
        self._unread: deque[dict[str, Any]] = deque()

    async def asked(self) -> MeetingPrompt | None:
        """What is asked next; None when the meeting is over."""
        while True:
            frame = self._unread.popleft() if self._unread else await self._frame()
            if frame["type"] in _QUESTIONS:
                return MeetingPrompt(_QUESTIONS[frame["type"]], frame["round"])
            if frame.get("event") in ("meeting_completed", "meeting_cancelled"):
                return None

    async def speak(self, asked: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises Refused."""
        await self._send_frame(type="opinion", round=asked.round, content=content, **further)

    async def vote(
        self, asked: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises Refused."""
        agrees = {"agree": True, "disagree": False, "abstain": None}[choice]
        said = {"agrees": agrees, "reason": reason, "amendment": amendment}
        await self._send_frame(type="consensus_vote", round=asked.round, **said)

    async def join(self) -> None:
        """Say that one takes part."""
        await self._send_frame(type="join")

    async def _send_frame(self, **frame: Any) -> None:
        """Send a frame and wait for what became of it; what comes before is kept for later."""
        await self._socket.send(json.dumps(frame | {"meeting_id": self._meeting, "id": "mine"}))
        while (answer := await self._frame()).get("id") != "mine":
            self._unread.append(answer)
        if answer["type"] == "error":
            raise ToolRefused(answer)

    async def _frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self._socket.recv())
        return frame


@asynccontextmanager
async def tool_seat(url: str, token: str, name: str, mode: ConnectMode) -> AsyncIterator[Seat]:
    """A seat over MCP, of an agent that is present from now on."""
    async with connected(url, token, mode) as tools:
        agent = DemoAgent(name, tools)
        await agent.register()
        yield ToolSeat(agent)


@asynccontextmanager
async def socket_seat(url: str, token: str, name: str, meeting: str) -> AsyncIterator[Seat]:
    """A seat over the socket; who keeps it open is present."""
    place = f"{url.replace('http', 'ws', 1)}/v1/ws/meetings/{meeting}?agent_id={name}"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(place, additional_headers=headers, compression=None, proxy=None) as socket:
        await asyncio.wait_for(socket.recv(), 10)  # 'connected'
        seat = SocketSeat(socket, meeting)
        await seat.join()
        yield seat
