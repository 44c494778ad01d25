"""A receiver of webhooks: a small HTTP server on loopback that notes what comes and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass
class Got:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.body)
        return made

    def verified(self, secret: str) -> Any:
        """The body, checked by the standard's own library; raises its error."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Answer:
    """What to answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"thanks"
    missing: int = 0
    """Bytes that the headers promise beyond the body, and that never come."""
    breaks_off: bool = False
    """Whether the connection ends behind the body; else it stays open."""


class Receiver:
    """Answers with `answers` in turn, then with `usual`; while `gate` is shut, with nothing."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Answer] = []
        self.usual = Answer()
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self.port = 0

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one.event for one in self.got]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def arrived(self, count: int) -> list[Got]:
        """Wait until so many requests have come."""
        await eventually(lambda: len(self.got) >= count)
        return self.got

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.got.append(Got(first.split()[1], headers, body))
                await self.gate.wait()
                answer = self.answers.pop(0) if self.answers else self.usual
                more = answer.headers | {"Content-Length": str(len(answer.body) + answer.missing)}
                told = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                writer.write(f"HTTP/1.1 {answer.status} Said\r\n{told}\r\n".encode() + answer.body)
                await writer.drain()
                if answer.breaks_off:
                    break
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook"
    try:
        yield receiver
    finally:
        receiver.gate.set()
        server.close()


async def eventually(true: Callable[[], bool | Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until something holds; fails when it does not for long."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
