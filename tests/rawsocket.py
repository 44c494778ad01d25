"""Connections below the manners of any client: bytes that are sent as they are, and what comes back."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from live import LiveMesh

_LOOKS = 6_000
_WAIT_S = 60  # a guard against hanging; nothing here takes long by itself
_CONTINUATION, _TEXT, _CLOSE, PING, PONG = 0, 1, 8, 9, 10
_FINAL = 0x80


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(orjson.loads(self.body)["code"])


class Raw:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Send; a connection that the server closes meanwhile is no error."""
        try:
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
        except ConnectionError:
            return

    async def answer(self) -> Answer:
        """The next HTTP answer."""
        async with asyncio.timeout(_WAIT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return Answer(int(head[0].split()[1]), fields, body)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        got = b""
        async with asyncio.timeout(_WAIT_S):
            try:
                while piece := await self.reader.read(65_536):
                    got += piece
            except ConnectionError:
                pass
        return got

    async def close_code(self) -> int:
        """The code with which the server closes a WebSocket; 0 when it closes without one."""
        async with asyncio.timeout(_WAIT_S):
            try:
                while True:
                    opcode, length = (await self.reader.readexactly(2))[:2]
                    if length == 126:
                        length = struct.unpack("!H", await self.reader.readexactly(2))[0]
                    payload = await self.reader.readexactly(length)
                    if opcode & 0x0F == _CLOSE:
                        return int(struct.unpack("!H", payload[:2])[0])
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    """A request as it stands on the wire; a length is only sent if it is among the headers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def frame(
    payload: bytes = b"", opcode: int = _TEXT, *, final: bool = True, length: int | None = None
) -> bytes:
    """A client's frame, masked with zeros; `length` is declared in place of the payload's own."""
    size = len(payload) if length is None else length
    first = (_FINAL if final else 0) | opcode
    if size < 126:
        return struct.pack("!BB4x", first, 0x80 | size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH4x", first, 0x80 | 126, size) + payload
    return struct.pack("!BBQ4x", first, 0x80 | 127, size) + payload


def fragments(count: int, payload: bytes = b"x") -> bytes:
    """The beginning of a message that never ends: so many small frames."""
    return frame(payload, final=False) + frame(payload, _CONTINUATION, final=False) * (count - 1)


@asynccontextmanager
async def connected(mesh: LiveMesh) -> AsyncIterator[Raw]:
    """A connection."""
    host, port = mesh.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def upgraded(mesh: LiveMesh, *headers: str, path: str = "/v1/ws") -> AsyncIterator[Raw]:
    """A WebSocket that is open."""
    async with connected(mesh) as raw:
        await raw.send(upgrade(*headers, path=path))
        assert (await raw.answer()).status == 101
        yield raw


def upgrade(*headers: str, path: str = "/v1/ws") -> bytes:
    """The request for a WebSocket."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    words = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", key)
    return request("GET", path, *words, *headers)


async def sweep(mesh: LiveMesh, *after_s: float) -> None:
    """Have the server look at its connections as if so many seconds had passed."""
    loop = mesh.web.loop
    assert loop is not None

    async def look() -> None:
        for seconds in after_s:
            mesh.web.connections.sweep(loop.time() + seconds)
            await asyncio.sleep(0)

    await in_loop(mesh, look())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until the condition holds."""
    for _ in range(_LOOKS):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def in_loop(mesh: LiveMesh, work: Any) -> Any:
    """The result of a coroutine that runs in the server's own event loop."""
    assert mesh.web.loop is not None
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, mesh.web.loop))
