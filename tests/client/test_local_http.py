"""Requests to a server on this machine: what is sent, and each way in which an answer ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from repomesh.client.errors import NoAnswer, UnusableAddress
from repomesh.client.local_http import LocalHTTP

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except asyncio.IncompleteReadError:  # the client has closed
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(ended, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def line(url: str, served: Callable[[], str | None] | None = None) -> LocalHTTP:
    return LocalHTTP(url, served, connect_s=5, answer_s=0.5)


async def get(http: LocalHTTP, path: str = "/v1/tasks") -> tuple[int, bytes]:
    answer = await http.request("GET", path, headers={})
    return answer.status_code, answer.content


def answering(*answers: bytes) -> tuple[Serve, list[bytes]]:
    """One answer for each request of a connection, and the heads of the requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()

    return serve, heads


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_connection_is_kept_and_one_that_the_server_closed_is_not_used_again() -> None:
    serve, heads = answering(OK, OK)
    async with serving(serve) as url:
        http = line(url)
        for _ in range(3):
            assert await get(http) == (200, b"{}")
            await asyncio.sleep(0.05)
        await http.aclose()
    assert len(heads) == 3


async def test_a_request_carries_its_headers_query_and_body() -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readexactly(len('{"goal":"ä"}'.encode())))
        writer.write(OK)

    async with serving(serve) as url:
        http = line(f"{url}/under")
        params = (("type", "a b"), ("type", "c&d"))
        await http.request("POST", "/v1/x", headers={"X-A": "1"}, params=params, json_body={"goal": "ä"})
    head = got[0].decode()
    assert head.startswith("POST /under/v1/x?type=a+b&type=c%26d HTTP/1.1\r\n")
    assert f"\r\nHost: {url.removeprefix('http://')}\r\n" in head
    assert "\r\nX-A: 1\r\n" in head
    assert "\r\nContent-Type: application/json\r\n" in head
    assert got[1].decode() == '{"goal":"ä"}'


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    ],
)
async def test_a_body_ends_by_its_length_its_last_chunk_or_the_connection(answer: bytes, body: bytes) -> None:
    serve, _ = answering(answer)
    async with serving(serve) as url:
        assert await get(line(url)) == (200, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_a_broken_answer_is_no_answer(answer: bytes) -> None:
    serve, _ = answering(answer)
    async with serving(serve) as url:
        with pytest.raises(NoAnswer):
            await get(line(url))


async def test_silence_ends_with_the_time_limit() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async with serving(serve) as url:
        with pytest.raises(NoAnswer, match="too long"):
            await get(line(url))


async def test_requests_follow_the_server_and_are_not_sent_while_none_runs() -> None:
    serve, heads = answering(OK)
    places: list[str | None] = [None]
    async with serving(serve) as url:
        http = line("http://127.0.0.1:9", lambda: places[0])
        with pytest.raises(NoAnswer, match="does not run"):
            await get(http)
        places[0] = url
        assert await get(http) == (200, b"{}")
    assert len(heads) == 1


async def test_nobody_listens() -> None:
    async with serving(answering()[0]) as url:
        pass
    with pytest.raises(NoAnswer):
        await get(line(url))


async def test_a_header_cannot_end_its_line() -> None:
    with pytest.raises(UnusableAddress):
        await line("http://127.0.0.1:9").request("GET", "/", headers={"X-A": "a\r\nX-B: b"})


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("http://127.0.0.1:8787", True),
        ("http://localhost:8787/under", True),
        ("http://[::1]:8787", True),
        ("https://127.0.0.1:8787", False),
        ("http://example.org", False),
        ("http://user:word@127.0.0.1:8787", False),
        ("http://127.0.0.1:99999", False),
    ],
)
def test_only_plain_http_on_loopback_is_reached(url: str, reached: bool) -> None:
    assert LocalHTTP.reaches(url) == reached
