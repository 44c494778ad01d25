"""Push to a hundred subscribers: how late the last of them hears, and how much one core fans out."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import statistics
import time
from collections.abc import Callable

from bench.load import Connection, request
from bench.messages import register
from bench.report import Report
from bench.servers import Running

SUBSCRIBERS = 100
PACED_EVENTS = 200
PACED_PER_S = 20
BURST_EVENTS = 300
BURST_SENDERS = 4
ROUNDS = 3
_EVENT = b'{"type":"event"'


class Listener(asyncio.Protocol):
    """A WebSocket client that only notes when each event came: its own cost stays out of the figures."""

    def __init__(self, opening: bytes, first_frames: list[bytes], prefix: bytes) -> None:
        self._opening = opening
        self._first_frames = first_frames
        self._prefix = prefix
        self._buffer = bytearray()
        self._open = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.arrivals: list[float] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        assert self.transport is not None
        self.transport.write(self._opening)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        if not self._open:
            self._open_up()
        while (frame := self._frame()) is not None:
            self.arrived(frame, now)

    def arrived(self, frame: bytes, now: float) -> None:
        """Note that a frame came."""
        if frame.startswith(self._prefix):
            self.arrivals.append(now)

    def say(self, frame: bytes) -> None:
        """Send a text frame."""
        assert self.transport is not None
        self.transport.write(_masked(frame))

    def _open_up(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            self.opened.set_exception(ConnectionError(bytes(self._buffer[:end]).decode()))
            return
        del self._buffer[: end + 4]
        self._open = True
        for frame in self._first_frames:
            self.say(frame)
        self.opened.set_result(None)

    def _frame(self) -> bytes | None:
        if not self._open or len(self._buffer) < 2:
            return None
        length, head = self._buffer[1] & 127, 2
        if length == 126:
            length, head = int.from_bytes(self._buffer[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(self._buffer[2:10], "big"), 10
        if len(self._buffer) < head + length:
            return None
        frame = bytes(self._buffer[head : head + length])
        del self._buffer[: head + length]
        return frame


def measure(report: Report, server: Running, floor: Running) -> None:
    """Latency at a steady pace, then a burst, beside a bare loop over as many sockets."""
    register(server, "ticker")
    late = asyncio.run(_paced(server))
    cuts = statistics.quantiles(late, n=100)
    report.note(f"push to {SUBSCRIBERS} subscribers, p50", cuts[49] * 1e3, "ms")
    report.bound(f"push to {SUBSCRIBERS} subscribers, p95", cuts[94] * 1e3, "ms", 50)
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(asyncio.run(_burst(server, _ours, _post(server))))
        bare.append(asyncio.run(_burst(floor, _bare, _publish(floor))))
    mine, theirs = statistics.median(ours), statistics.median(bare)
    report.add("fan-out, deliveries of durable events", mine, "/s", "bare loop", theirs, at_least=0.5)


async def _paced(server: Running) -> list[float]:
    """Seconds from the sending of each event to each subscriber's receipt."""
    listeners = [await _ours(server) for _ in range(SUBSCRIBERS)]
    await asyncio.sleep(0.5)
    sender = await Connection.open("127.0.0.1", server.port)
    sent = []
    for number in range(PACED_EVENTS):
        sent.append(time.perf_counter())
        status, answer = await sender.request(_post(server)(number))
        assert status < 300, answer
        await asyncio.sleep(1 / PACED_PER_S)
    await _until(listeners, PACED_EVENTS)
    late = [
        arrived - begun
        for listener in listeners
        for begun, arrived in zip(sent, listener.arrivals, strict=True)
    ]
    _hang_up(listeners)
    return late


Connect = Callable[[Running], "asyncio.Future[Listener] | asyncio.Task[Listener]"]


async def _burst(server: Running, connect: Callable[[Running], object], raw: Callable[[int], bytes]) -> float:
    """Deliveries a second while a few senders post as fast as they are answered."""
    listeners: list[Listener] = [await connect(server) for _ in range(SUBSCRIBERS)]  # type: ignore[misc]
    await asyncio.sleep(0.5)
    begun = time.perf_counter()
    await asyncio.gather(*(_send(server, raw, BURST_EVENTS // BURST_SENDERS) for _ in range(BURST_SENDERS)))
    await _until(listeners, BURST_EVENTS)
    last = max(listener.arrivals[-1] for listener in listeners)
    _hang_up(listeners)
    return SUBSCRIBERS * BURST_EVENTS / (last - begun)


async def _send(server: Running, raw: Callable[[int], bytes], count: int) -> None:
    connection = await Connection.open("127.0.0.1", server.port)
    for number in range(count):
        status, answer = await connection.request(raw(number))
        assert status < 300, answer
    connection.close()


async def _until(listeners: list[Listener], count: int) -> None:
    deadline = time.perf_counter() + 30
    while any(len(listener.arrivals) < count for listener in listeners):
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not every subscriber received {count} events")
        await asyncio.sleep(0.01)


def _hang_up(listeners: list[Listener]) -> None:
    for listener in listeners:
        if listener.transport is not None:
            listener.transport.abort()


async def _ours(server: Running) -> Listener:
    subscribe = json.dumps({"type": "subscribe", "id": "bench", "types": ["bench.tick"]}).encode()
    return await _listen(server, "/v1/ws", [subscribe], _EVENT)


async def _bare(floor: Running) -> Listener:
    return await _listen(floor, "/listen", [], b"")


async def _listen(server: Running, path: str, first_frames: list[bytes], prefix: bytes) -> Listener:
    opening = upgrade(path, server.token)
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(
        lambda: Listener(opening, first_frames, prefix), "127.0.0.1", server.port
    )
    await listener.opened
    return listener


def upgrade(path: str, token: str) -> bytes:
    """The bytes that ask for a WebSocket."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _masked(text: bytes) -> bytes:
    """A text frame as a client sends it; a mask of zeros is a mask."""
    if len(text) < 126:
        return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
    assert len(text) < 1 << 16
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text


_TICK = {"type": "bench.tick", "data": {"text": "x" * 200}}


def _post(server: Running) -> Callable[[int], bytes]:
    body = json.dumps(_TICK).encode()
    raw = request("POST", "/v1/events", server.token, body, "X-Repomesh-Agent: ticker\r\n")
    return lambda _number: raw


def _publish(floor: Running) -> Callable[[int], bytes]:
    # As long as the frame that repomesh sends for the same event.
    body = json.dumps({**_TICK, "padding": "x" * 500}).encode()
    raw = request("POST", "/publish", floor.token, body)
    return lambda _number: raw
