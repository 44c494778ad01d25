"""The HTTP surface behind a real web server: what a client on a socket sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from live import LiveMesh, live
from repomesh.kernel.limits import BODY_BYTES_MAX

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

__all__ = ["live"]

JSON = "Content-Type: application/json"
NO_HTTP = (
    b"nonsense",
    b"GET /v1/agents HTTP/9.9",
    b"GET /v1/agents HTTP/1.1\r\nHost: localhost\r\nX: a\x00b",
    b"POST /v1/tokens HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
    b"POST /v1/tokens HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
    b"POST /v1/tokens HTTP/1.1\r\nContent-Length: -1",
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection, on which requests are written byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token

    async def send(self, method: str, path: str, *headers: str, body: bytes = b"") -> None:
        fields = ["Host: localhost", f"Authorization: Bearer {self._token}", *headers]
        self._writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode() + body)
        await self._writer.drain()

    async def write(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        async with asyncio.timeout(20):
            status = int((await self._reader.readline()).split()[1])
            headers: dict[str, str] = {}
            while line := (await self._reader.readline()).decode().strip():
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            size = int(headers.get("content-length", 0)) if has_body else 0
            return Answer(status, headers, await self._reader.readexactly(size))

    async def is_closed(self) -> bool:
        async with asyncio.timeout(20):
            return await self._reader.read() == b""


@asynccontextmanager
async def connected(live: LiveMesh) -> AsyncIterator[Connection]:
    """A new connection to the server."""
    host, port = live.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert live.token is not None
    try:
        yield Connection(reader, writer, live.token)
    finally:
        writer.close()


@pytest.fixture
async def connection(live: LiveMesh) -> AsyncIterator[Connection]:
    async with connected(live) as made:
        yield made


async def test_head_is_get_without_its_body(connection: Connection) -> None:
    await connection.send("GET", "/v1/agents")
    got = await connection.answer()
    await connection.send("HEAD", "/v1/agents")
    told = await connection.answer(has_body=False)
    assert told.headers["content-length"] == got.headers["content-length"] == str(len(got.body))
    await connection.send("OPTIONS", "/v1/agents")
    options = await connection.answer()
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_a_body_comes_in_chunks_of_any_size(connection: Connection) -> None:
    await connection.send("POST", "/v1/tokens", JSON, "Transfer-Encoding: chunked")
    for piece in (b'{"role":', b' "obser', b'ver"}'):
        await connection.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await asyncio.sleep(0.01)
    await connection.write(b"0\r\n\r\n")
    assert (await connection.answer()).status == 201


async def test_a_body_over_the_limit_is_refused_before_it_has_come(connection: Connection) -> None:
    size = BODY_BYTES_MAX + 1
    await connection.send("POST", "/v1/tokens", JSON, f"Content-Length: {size}")
    refused = await connection.answer()
    problem = json.loads(refused.body)
    assert (refused.status, problem["size_bytes"], problem["limit_bytes"]) == (413, size, BODY_BYTES_MAX)


async def test_a_body_without_a_declared_size_is_cut_at_the_limit(connection: Connection) -> None:
    await connection.send("POST", "/v1/tokens", JSON, "Transfer-Encoding: chunked")
    piece = b" " * 65_536
    for _ in range(BODY_BYTES_MAX // len(piece) + 1):
        await connection.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    assert (await connection.answer()).status == 413


async def test_what_is_no_http_ends_the_connection(live: LiveMesh) -> None:
    for lines in NO_HTTP:
        async with connected(live) as connection:
            await connection.write(lines + b"\r\n\r\n")
            assert (await connection.answer()).status == 400, lines
            assert await connection.is_closed()


async def test_a_client_that_goes_away_mid_body_leaves_nothing_behind(
    live: LiveMesh, connection: Connection
) -> None:
    await connection.send("POST", "/v1/tokens", JSON, "Content-Length: 100")
    await connection.write(b'{"role": "observer"')
    connection._writer.close()
    assert len((await live.get("/v1/tokens"))["items"]) == 1


async def test_requests_one_behind_the_other_are_answered_in_order(connection: Connection) -> None:
    for path in ("/healthz", "/nowhere", "/v1/agents"):
        await connection.send("GET", path)
    assert [(await connection.answer()).status for _ in range(3)] == [200, 404, 200]
