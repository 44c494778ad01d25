"""Clients without a token that send and hold as much as they can: the others are served meanwhile."""

from __future__ import annotations

import asyncio
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fault import watching
from fault.running import AT_FULL_SIZE, Process
from rawsocket import PING, Raw, fragments, frame, request, upgrade
from repomesh.kernel import limits

pytestmark = [pytest.mark.anyio, pytest.mark.fault]

MB = 1024 * 1024
PIECE = b"x" * 65_536
HEALTHY_S = 0.25
BUSY_TIMES = 3  # slower than without a flood, where the machine itself is slow
POLLED_S_MIN = 0.5
MEMORY_MB_MAX = 300  # more than before
MANY = 2_000 if AT_FULL_SIZE else 100
SEVERAL = 40 if AT_FULL_SIZE else 4
WAVES = 8 if AT_FULL_SIZE else 1
LARGE_BYTES = (60 if AT_FULL_SIZE else 4) * MB
OPEN_FILES = 1_024 if AT_FULL_SIZE else 256


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server that may have few files open, for all tests."""
    made = Process(tmp_path_factory.mktemp("floods") / "data")
    limited = f'ulimit -n {OPEN_FILES} && exec "$0" "$@"'
    made._program = ["sh", "-c", limited, Path(sys.executable).with_name("repomesh")]
    made.start()
    yield made
    made.stop()


@contextmanager
def polled(process: Process) -> Iterator[list[float]]:
    """As `watching.watched`, and for a moment longer: what a flood leaves to be done counts as well."""
    with watching.watched(process) as answers_s:
        yield answers_s
        time.sleep(POLLED_S_MIN)


@pytest.fixture(scope="module")
def usual_s(process: Process) -> float:
    """The slowest answer of a server that nobody floods, on this machine as it is now."""
    with polled(process) as answers_s:
        time.sleep(POLLED_S_MIN)
    return max(answers_s)


@pytest.fixture
def watched(process: Process, usual_s: float) -> Iterator[None]:
    """The server stays about as large as it was during the test, and answers soon."""
    assert process._process is not None
    memory = psutil.Process(process._process.pid).memory_info
    before_mb = memory().rss / MB
    largest_mb = [before_mb]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            largest_mb.append(memory().rss / MB)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with polled(process) as answers_s:
            yield
    finally:
        over.set()
        looking.join()
    assert max(largest_mb) - before_mb < MEMORY_MB_MAX
    if AT_FULL_SIZE:  # elsewhere the machine may be busy with other tests
        print(f"slowest answer {max(answers_s):.3f} s, {max(largest_mb) - before_mb:.0f} MB more")
        assert max(answers_s) < max(HEALTHY_S, BUSY_TIMES * usual_s)


class Crowd:
    """Connections that stay open until the end."""

    def __init__(self, url: str) -> None:
        self._host, self._port = url.removeprefix("http://").split(":")
        self._open: list[Raw] = []

    async def join(self, *pieces: bytes) -> Raw | None:
        """One more connection, which sends these pieces; None when the server turned it away."""
        try:
            raw = Raw(*await asyncio.open_connection(self._host, int(self._port)))
        except OSError:
            return None
        self._open.append(raw)
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await raw.send(*pieces)
        return raw

    async def join_all(self, count: int, *pieces: bytes) -> None:
        """Many of them, some at once."""
        for start in range(0, count, 50):
            await asyncio.gather(*(self.join(*pieces) for _ in range(start, min(start + 50, count))))

    def leave(self) -> None:
        for raw in self._open:
            raw.writer.transport.abort()
        self._open.clear()


@pytest.fixture
async def crowd(process: Process) -> AsyncIterator[Crowd]:
    made = Crowd(process.url)
    yield made
    made.leave()


def bearer(process: Process) -> str:
    """The header with the owner's token."""
    return f"Authorization: Bearer {process.token}"


async def serves(process: Process) -> None:
    """An agent gets everything: the API, a stream, MCP; and the server is ready.

    It is another caller than the one of the flood, who may have used up all streams of one caller.
    """
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        owner = {"Authorization": f"Bearer {process.token}"}
        body: dict[str, Any] = {"name": "somebody", "force": True}
        registered = await http.post("/v1/agents/register", json=body, headers=owner)
        http.headers["Authorization"] = f"Bearer {registered.json()['token']}"
        assert (await http.get("/v1/agents")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        async with http.stream("GET", "/v1/stream") as events:
            assert events.status_code == 200
        initialize = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "flooded", "version": "1"},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize}
        accept = {"Accept": "application/json, text/event-stream"}
        assert (await http.post("/mcp", json=body, headers=accept)).status_code == 200


async def test_bodies_of_webhooks_without_a_key(process: Process, crowd: Crowd, watched: None) -> None:
    size = limits.CONTENT_BODY_BYTES_MAX
    begun = request("POST", "/v1/webhook", f"Content-Length: {size}")
    await crowd.join_all(SEVERAL, begun, *[PIECE] * (size // len(PIECE)))
    await serves(process)


async def test_signed_webhooks_of_somebody_without_the_secret(
    process: Process, crowd: Crowd, watched: None
) -> None:
    size = limits.CONTENT_BODY_BYTES_MAX
    headers = (
        f"Content-Length: {size}",
        "Webhook-Id: a",
        f"Webhook-Timestamp: {int(time.time())}",
        f"Webhook-Signature: v1,{'A' * 43}=",
    )
    await crowd.join_all(SEVERAL, request("POST", "/v1/webhook", *headers), *[PIECE] * 300)
    await serves(process)


async def test_bodies_of_tiny_chunks(process: Process, crowd: Crowd, watched: None) -> None:
    begun = request("POST", "/v1/messages", "Transfer-Encoding: chunked")
    for headers in (begun, request("POST", "/v1/messages", "Transfer-Encoding: chunked", bearer(process))):
        await crowd.join_all(SEVERAL, headers, *[b"1\r\na\r\n" * 10_000] * (LARGE_BYTES // SEVERAL // 60_000))
    await serves(process)


async def test_one_header_without_an_end(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join(b"GET / HTTP/1.1\r\nX: ", *[PIECE] * (LARGE_BYTES // len(PIECE)))
    await serves(process)


async def test_more_headers_than_are_taken(process: Process, crowd: Crowd, watched: None) -> None:
    """What a refused request leaves would add up from wave to wave."""
    headers = ["X-A: b"] * limits.HEADERS_COUNT_MAX
    for _ in range(WAVES):
        await crowd.join_all(MANY, request("GET", "/v1/tasks", *headers))
        await serves(process)
        crowd.leave()


async def test_sockets_of_tiny_fragments(process: Process, crowd: Crowd, watched: None) -> None:
    piece = fragments(10_000)
    await crowd.join_all(SEVERAL, upgrade(), *[piece] * (LARGE_BYTES // SEVERAL // len(piece) + 1))
    await serves(process)


async def test_frames_without_an_end(process: Process, crowd: Crowd, watched: None) -> None:
    begun = frame(length=16 * MB)
    await crowd.join_all(SEVERAL, upgrade(), begun, *[PIECE] * 250)
    await serves(process)


async def test_pings_to_which_nobody_reads_the_answers(process: Process, crowd: Crowd, watched: None) -> None:
    pings = frame(b"x" * 125, opcode=PING) * 500
    await crowd.join_all(SEVERAL, upgrade(bearer(process)), *[pings] * 100)
    await serves(process)


async def test_pings_before_a_token(process: Process, crowd: Crowd, watched: None) -> None:
    """Each connection is closed for it, and comes again."""
    pings = frame(opcode=PING) * 5_000
    for _ in range(WAVES):
        opened = await asyncio.gather(*(crowd.join(upgrade()) for _ in range(SEVERAL)))
        for raw in filter(None, opened):
            await raw.answer()
            await raw.send(pings)
        await serves(process)
        crowd.leave()


@pytest.mark.parametrize("text", [b"[", b'{"type":"zz"}'])
async def test_frames_that_are_refused(process: Process, crowd: Crowd, watched: None, text: bytes) -> None:
    await crowd.join_all(SEVERAL, upgrade(bearer(process)), *[frame(text) * 5_000] * 20)
    await serves(process)


async def test_sockets_without_a_token(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join_all(MANY, upgrade())
    await serves(process)


async def test_event_streams_without_a_token(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join_all(MANY, request("GET", "/v1/stream"))
    await serves(process)


async def test_event_streams_from_the_beginning(process: Process, crowd: Crowd, watched: None) -> None:
    """One caller's streams read many large events again, all at the same time."""
    sent = 100 if AT_FULL_SIZE else 10
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {process.token}"
        body: dict[str, Any] = {"name": "flood", "force": True}
        http.headers["Authorization"] = (
            f"Bearer {(await http.post('/v1/agents/register', json=body)).json()['token']}"
        )
        for _ in range(sent):
            event = {"type": "test.large", "data": {"text": "x" * (limits.EVENT_DATA_CHARS_MAX - 100)}}
            assert (await http.post("/v1/events", json=event)).status_code == 201
        token = http.headers["Authorization"]

    async def read_all() -> None:
        raw = await crowd.join(request("GET", "/v1/stream?after=0", f"Authorization: {token}"))
        assert raw is not None
        received = 0
        while received < sent * (limits.EVENT_DATA_CHARS_MAX - 100):
            received += len(await raw.reader.read(MB))

    async with asyncio.timeout(120):
        await asyncio.gather(*(read_all() for _ in range(limits.STREAMS_PER_CALLER_MAX)))
    await serves(process)


async def test_pipelined_requests(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join_all(SEVERAL, *[request("GET", "/healthz") * 1_500] * 20)
    await serves(process)


async def test_bursts_of_requests_over_many_connections(
    process: Process, crowd: Crowd, watched: None
) -> None:
    for _ in range(WAVES):
        await crowd.join_all(MANY // 5, request("GET", "/healthz") * 17)
        await asyncio.sleep(0.5)
        crowd.leave()
    await serves(process)


async def test_clients_that_ask_and_leave(process: Process, crowd: Crowd, watched: None) -> None:
    for _ in range(10 * WAVES):
        await crowd.join_all(MANY // 10, request("GET", "/v1/agents"))
        crowd.leave()
    await serves(process)


async def test_answers_that_nobody_reads(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join_all(SEVERAL, request("GET", "/openapi.json") * 16)
    await serves(process)


async def test_more_idle_connections_than_files(process: Process, crowd: Crowd, watched: None) -> None:
    await crowd.join_all(OPEN_FILES + 100)
    await serves(process)
    await crowd.join_all(OPEN_FILES + 100, struct.pack("!B", 65))
    await serves(process)


async def test_down_ends_it_though_many_are_connected(tmp_path: Path) -> None:
    process = Process(tmp_path / "data")
    process.start()
    crowd = Crowd(process.url)
    try:
        await crowd.join_all(MANY, request("POST", "/v1/tokens", "Content-Length: 10"))
        await crowd.join_all(SEVERAL, upgrade(f"Authorization: Bearer {process.token}"))
        await crowd.join_all(SEVERAL, request("GET", "/openapi.json") * 16)
        await asyncio.to_thread(process.stop)
        assert process._process is not None
        assert process._process.returncode == 0
    finally:
        crowd.leave()
