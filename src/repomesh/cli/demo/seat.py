"""A seat in the meeting of the demo: over MCP with the official client, or over the meeting's WebSocket.

Requests are messages over MCP and frames over the WebSocket; the parts see no difference.
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
_OVER = ("Decided:", "No consensus:", "Cancelled:")  # beginnings of the notices that end a meeting


@dataclass(frozen=True, slots=True)
class MeetingPrompt:
    """A request of the meeting to a participant."""

    kind: Literal["opinion", "vote"]
    round: int


class Seat(Protocol):
    """A participant's connection to the meeting."""

    async def next_prompt(self) -> MeetingPrompt | None:
        """Wait for the next request; None when the meeting is over."""

    async def speak(self, prompt: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises ToolRefused."""

    async def vote(
        self, prompt: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises ToolRefused."""


class ToolSeat:
    """Over MCP: requests are messages, and two tools answer them."""

    def __init__(self, agent: DemoAgent) -> None:
        self._agent = agent
        self._meeting = ""

    async def next_prompt(self) -> MeetingPrompt | None:
        """Wait for the next request; None when the meeting is over."""
        while True:
            answer = await self._agent.call("wait_for_messages", timeout_s=2)
            for message in answer["items"]:
                request = next((tag for tag in message["tags"] if tag in _QUESTIONS), None)
                if request is not None:
                    return self._parse_request(_QUESTIONS[request], message["body"])
                await self._agent.call("acknowledge_message", message_id=message["id"])
                if message["subject"].startswith(_OVER):
                    return None

    def _parse_request(self, kind: Literal["opinion", "vote"], body: str) -> MeetingPrompt:
        match = _REQUEST.search(body)
        assert match is not None, body
        self._meeting = match["meeting"]
        return MeetingPrompt(kind, int(match["round"]))

    async def speak(self, prompt: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises ToolRefused."""
        arguments = {"meeting_id": self._meeting, "round": prompt.round, "content": content} | further
        await self._agent.call("speak_in_meeting", **arguments)

    async def vote(
        self, prompt: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises ToolRefused."""
        arguments = {"meeting_id": self._meeting, "round": prompt.round, "choice": choice, "reason": reason}
        await self._agent.call(
            "vote_in_meeting", **arguments | ({"amendment": amendment} if amendment else {})
        )


class SocketSeat:
    """Over the meeting's WebSocket: frames in both directions."""

    def __init__(self, socket: ClientConnection, meeting: str) -> None:
        self._socket = socket
        self._meeting = meeting
        self._unread: deque[dict[str, Any]] = deque()

    async def next_prompt(self) -> MeetingPrompt | None:
        """Wait for the next request; None when the meeting is over."""
        while True:
            frame = self._unread.popleft() if self._unread else await self._receive_frame()
            if frame["type"] in _QUESTIONS:
                return MeetingPrompt(_QUESTIONS[frame["type"]], frame["round"])
            if frame.get("event") in ("meeting_completed", "meeting_cancelled"):
                return None

    async def speak(self, prompt: MeetingPrompt, content: str, **further: Any) -> None:
        """Give an opinion; raises ToolRefused."""
        await self._send_frame(type="opinion", round=prompt.round, content=content, **further)

    async def vote(
        self, prompt: MeetingPrompt, choice: str, reason: str, amendment: str | None = None
    ) -> None:
        """Vote; raises ToolRefused."""
        agrees = {"agree": True, "disagree": False, "abstain": None}[choice]
        fields = {"agrees": agrees, "reason": reason, "amendment": amendment}
        await self._send_frame(type="consensus_vote", round=prompt.round, **fields)

    async def join(self) -> None:
        """Send the frame that joins the meeting."""
        await self._send_frame(type="join")

    async def _send_frame(self, **frame: Any) -> None:
        """Send a frame and wait for its answer; frames before that are queued. Raises ToolRefused."""
        await self._socket.send(json.dumps(frame | {"meeting_id": self._meeting, "id": "mine"}))
        while (answer := await self._receive_frame()).get("id") != "mine":
            self._unread.append(answer)
        if answer["type"] == "error":
            raise ToolRefused(answer)

    async def _receive_frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self._socket.recv())
        return frame


@asynccontextmanager
async def tool_seat(url: str, token: str, name: str, mode: ConnectMode) -> AsyncIterator[Seat]:
    """Open a seat over MCP, for an agent that is present from now on."""
    async with connected(url, token, mode) as tools:
        agent = DemoAgent(name, tools)
        await agent.register()
        yield ToolSeat(agent)


@asynccontextmanager
async def socket_seat(url: str, token: str, name: str, meeting: str) -> AsyncIterator[Seat]:
    """Open a seat over the WebSocket; the agent is present while it is open."""
    address = f"{url.replace('http', 'ws', 1)}/v1/ws/meetings/{meeting}?agent_id={name}"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(address, additional_headers=headers, compression=None, proxy=None) as socket:
        await asyncio.wait_for(socket.recv(), 10)  # 'connected'
        seat = SocketSeat(socket, meeting)
        await seat.join()
        yield seat
