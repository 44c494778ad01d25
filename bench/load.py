"""A small HTTP/1.1 load generator whose own cost is far below a server's."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load measured: latencies in milliseconds, requests per second over the whole of it."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_s: float
    errors: int

    @classmethod
    def of(cls, latencies_s: Sequence[float], elapsed_s: float, errors: int = 0) -> Figures:
        """The figures of single latencies."""
        cuts = statistics.quantiles(latencies_s, n=100)
        return cls(cuts[49] * 1e3, cuts[94] * 1e3, cuts[98] * 1e3, len(latencies_s) / elapsed_s, errors)


class Connection(asyncio.Protocol):
    """One kept-alive connection that sends a request and reads its answer whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.index(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + length:
            body = bytes(self._buffer[end + 4 : end + 4 + length])
            self._buffer.clear()
            self._answer.set_result((int(head[9:12]), body))

    async def request(self, raw: bytes) -> tuple[int, bytes]:
        """Send a whole request; answers status and body."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def request(method: str, path: str, token: str, body: bytes = b"", headers: str = "") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{headers}"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


Check = Callable[[int, bytes], bool]
"""Whether an answer, of this status and body, is what its sender needed."""


async def run(
    port: int,
    senders: Sequence[Callable[[int], bytes]],
    seconds: float,
    check: Check = lambda status, _body: status < 400,
    warm_up_s: float = 0.5,
) -> Figures:
    """One connection for each sender, each sending as soon as it is answered, for `seconds`."""
    latencies: list[float] = []
    errors = 0
    start = time.perf_counter() + warm_up_s
    end = start + seconds

    async def one(make: Callable[[int], bytes]) -> None:
        nonlocal errors
        connection = await Connection.open("127.0.0.1", port)
        number = 0
        while (begun := time.perf_counter()) < end:
            status, body = await connection.request(make(number))
            good = check(status, body)
            if begun >= start:
                latencies.append(time.perf_counter() - begun)
                errors += not good
            number += 1
        connection.close()

    await asyncio.gather(*(one(make) for make in senders))
    return Figures.of(latencies, seconds, errors)
