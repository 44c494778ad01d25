"""A client of the merge queue that notes when the events of its changes come."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.load import Connection, request
from bench.push import Listener, upgrade
from bench.servers import Running

_EVENT = b'{"type":"event"'
_LIMIT_S = 300.0


class Follower(Listener):
    """Notes when each event of a change first came, by (type, subject)."""

    def __init__(self, server: Running) -> None:
        subscribe = json.dumps({"type": "subscribe", "id": "bench", "types": ["change.*"]}).encode()
        super().__init__(upgrade("/v1/ws", server.token), [subscribe], _EVENT)
        self.came: dict[tuple[str, str], float] = {}
        self._waiting: dict[tuple[str, str], asyncio.Future[float]] = {}

    def arrived(self, frame: bytes, now: float) -> None:
        if not frame.startswith(_EVENT):
            return
        event = json.loads(frame)["event"]
        key = event["type"], event["subject"].removeprefix("change/")
        assert event["type"] != "change.returned", event["data"]
        self.came.setdefault(key, now)
        future = self._waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(now)

    async def until(self, type_: str, change_id: str) -> float:
        """When an event of a change came; waits for it."""
        key = type_, change_id
        if key not in self.came:
            self._waiting[key] = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(_LIMIT_S):
                return await self._waiting[key]
        return self.came[key]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A change that was submitted: when, and when that was answered."""

    id: str
    begun: float
    answered: float


@dataclass(frozen=True, slots=True)
class QueueClient:
    """An agent with a connection of its own, and the events that it follows."""

    server: Running
    token: str
    connection: Connection
    follower: Follower

    async def submit(self, branch: str) -> Submitted:
        """Submit a branch."""
        body = json.dumps({"summary": f"Change {branch}", "branch": branch}).encode()
        begun = time.perf_counter()
        answer = await self._answer(request("POST", "/v1/changes", self.token, body))
        return Submitted(answer["id"], begun, time.perf_counter())

    async def landed(self, changes: Sequence[Submitted]) -> list[float]:
        """When each of them landed."""
        return [await self.follower.until("change.landed", change.id) for change in changes]

    async def shown(self, change: Submitted) -> Any:
        """A change with all that is known of it."""
        return await self._answer(request("GET", f"/v1/changes/{change.id}", self.token))

    async def empty(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(_LIMIT_S):
            while (await self._answer(request("GET", "/v1/changes?open=true", self.token)))["items"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def pause(self) -> None:
        """Stop the queue."""
        await self._answer(request("POST", "/v1/queue/pause", self.server.token, b'{"reason":"bench"}'))

    async def resume(self) -> float:
        """Let the queue go on; returns when that was asked."""
        begun = time.perf_counter()
        await self._answer(request("POST", "/v1/queue/resume", self.server.token, b"{}"))
        return begun

    async def _answer(self, raw: bytes) -> Any:
        status, answer = await self.connection.request(raw)
        assert status < 300, answer
        return json.loads(answer)


@asynccontextmanager
async def queue_client(server: Running, token: str) -> AsyncIterator[QueueClient]:
    """A client of the server's queue, with the token of an agent."""
    connection = await Connection.open("127.0.0.1", server.port)
    loop = asyncio.get_running_loop()
    _, follower = await loop.create_connection(lambda: Follower(server), "127.0.0.1", server.port)
    await follower.opened
    await asyncio.sleep(0.5)  # the subscription is answered
    try:
        yield QueueClient(server, token, connection, follower)
    finally:
        connection.close()
        assert follower.transport is not None
        follower.transport.abort()


async def all_at_once(client: QueueClient, branches: Sequence[str]) -> tuple[float, list[Submitted]]:
    """Changes that were submitted while the queue stood still, and when it went on."""
    await client.pause()
    changes = [await client.submit(branch) for branch in branches]
    return await client.resume(), changes
