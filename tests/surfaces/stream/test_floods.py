"""Sockets without a token, and with one that is misused: bounded in bytes, frames and time."""

from __future__ import annotations

import json

import pytest

from live import LiveMesh, stream
from rawsocket import PING, PONG, Raw, connected, fragments, frame, in_loop, sweep, until, upgrade, upgraded
from repomesh.kernel import limits
from repomesh.kernel.limits import (
    SOCKET_AUTH_FRAME_BYTES_MAX,
    SOCKET_AUTH_PINGS_MAX,
    SOCKET_FRAGMENTS_MAX,
)
from repomesh.surfaces.stream.protocol import Protocol

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

TOO_BIG, REFUSED, UNAUTHENTICATED = 1009, 1008, 4401


def bearer(live: LiveMesh) -> str:
    return f"Authorization: Bearer {live.token}"


def auth(live: LiveMesh, size: int) -> bytes:
    """An auth frame of this many bytes."""
    said = json.dumps({"type": "auth", "token": live.token}).encode()
    return frame(said + b" " * (size - len(said)))


async def test_the_first_frame_is_small(live: LiveMesh) -> None:
    async with upgraded(live) as raw:
        await raw.send(auth(live, SOCKET_AUTH_FRAME_BYTES_MAX))
        assert b"ready" in await raw.reader.readuntil(b"}")
    async with upgraded(live) as raw:
        await raw.send(auth(live, SOCKET_AUTH_FRAME_BYTES_MAX + 1))
        assert await raw.close_code() == TOO_BIG
    async with upgraded(live) as raw:  # refused by its header, before anything of it is read
        await raw.send(frame(length=16 * 1024 * 1024))
        assert await raw.close_code() == TOO_BIG
    async with upgraded(live) as raw:  # in pieces that are small by themselves
        await raw.send(frame(b"x" * 4_000, final=False), frame(b"x" * 4_000, 0, final=False))
        assert await raw.close_code() == TOO_BIG


async def test_what_comes_before_the_token_is_bounded(live: LiveMesh) -> None:
    for flood in (fragments(40_000), fragments(40_000, b""), frame(opcode=PING) * 40_000):
        async with upgraded(live) as raw:
            await raw.send(flood)
            assert await raw.close_code() in (REFUSED, TOO_BIG, 0)
    async with upgraded(live) as raw:
        await raw.send(frame(b"x" * 100, opcode=PING) * SOCKET_AUTH_PINGS_MAX)
        await raw.send(auth(live, 100))
        while b"ready" not in await raw.reader.readuntil(b"}"):
            pass


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_the_pings_before_the_token_are_counted(live: LiveMesh, opcode: int) -> None:
    """Each costs as much as a request to parse."""
    async with upgraded(live) as raw:
        await raw.send(frame(opcode=opcode) * SOCKET_AUTH_PINGS_MAX)
        await raw.send(auth(live, 100))
        while b"ready" not in await raw.reader.readuntil(b"}"):
            pass
        await raw.send(frame(opcode=opcode) * (SOCKET_AUTH_PINGS_MAX + 1))
        await raw.send(frame(json.dumps({"type": "ping"}).encode()))
        while b"pong" not in await raw.reader.readuntil(b"}"):
            pass
    async with upgraded(live) as raw:
        await raw.send(frame(opcode=opcode) * (SOCKET_AUTH_PINGS_MAX + 1))
        assert await raw.close_code() == REFUSED


async def test_a_message_has_a_bounded_number_of_fragments(live: LiveMesh) -> None:
    for payload in (b"x", b""):
        async with upgraded(live, bearer(live)) as raw:
            await raw.send(fragments(SOCKET_FRAGMENTS_MAX + 1, payload))
            assert await raw.close_code() == REFUSED
    async with upgraded(live, bearer(live)) as raw:
        blank = fragments(SOCKET_FRAGMENTS_MAX - 1, b" ")
        await raw.send(blank + frame(b'{"type": "ping"}', 0))
        while b"pong" not in await raw.reader.readuntil(b"}"):
            pass


async def test_a_token_in_the_header_lets_the_first_frame_be_of_full_size(live: LiveMesh) -> None:
    async with connected(live) as raw:
        padding = " " * (limits.SOCKET_FRAME_CHARS_MAX - len('{"type": "ping"}'))
        await raw.send(upgrade(bearer(live)))
        assert (await raw.answer()).status == 101
        await raw.send(frame(f'{{"type": "ping"}}{padding}'.encode()))
        while b"pong" not in await raw.reader.readuntil(b"}"):
            pass


async def test_sockets_without_a_token_take_no_stream_places(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_SUBSCRIBERS_MAX", 1)
    async with upgraded(live), upgraded(live), stream(live) as events:
        await anext(events)


async def test_a_socket_without_a_token_ends_though_it_takes_no_frame(live: LiveMesh) -> None:
    async with upgraded(live) as raw:
        await sweep(live, limits.SOCKET_AUTH_S + limits.STREAM_CLOSE_S)
        assert await raw.rest() == b""


async def test_pings_are_not_answered_to_who_reads_no_answers(live: LiveMesh) -> None:
    async with upgraded(live, bearer(live)) as raw:
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        flood = frame(b"x" * 125, opcode=PING) * 2_000
        for _ in range(60):
            await raw.send(flood)

        async def unsent() -> int:
            return max(each.get_write_buffer_size() for each in live.web.connections._open)

        assert await in_loop(live, unsent()) < 500_000  # of the 15 MB that were sent
        await cut_off(live, raw)


async def cut_off(live: LiveMesh, raw: Raw) -> None:
    """A client that reads nothing goes, after the time for that."""
    before = len(live.web.connections)
    await sweep(live, 0, limits.STALLED_S, limits.STALLED_S + limits.CLOSING_S)

    async def is_gone() -> bool:
        return len(live.web.connections) < before

    await until(is_gone)


async def test_a_socket_whose_frames_are_refused_one_after_another_is_closed(live: LiveMesh) -> None:
    wrong = frame(b"[")
    async with upgraded(live, bearer(live)) as raw:
        await raw.send(wrong * limits.SOCKET_REFUSED_FRAMES_MAX, frame(json.dumps({"type": "ping"}).encode()))
        got = b""
        while b"pong" not in got:
            got += await raw.reader.read(65_536)
        assert got.count(b'"type":"error"') == limits.SOCKET_REFUSED_FRAMES_MAX
        await raw.send(wrong)
        assert await raw.close_code() == REFUSED


async def test_what_comes_behind_the_servers_close_is_bounded(live: LiveMesh) -> None:
    """Six megabytes a second were kept for each of them."""
    async with upgraded(live, bearer(live)) as raw:
        protocols = [each for each in live.web.server_state.connections if isinstance(each, Protocol)]
        await raw.send(*[frame(b"[") * 10_000] * 20)
        await raw.rest()  # what was answered may be lost: the server resets a connection with unread bytes
    assert all(len(each._unparsed) <= limits.SOCKET_CLOSING_BYTES_MAX for each in protocols)
    assert len(protocols) == 1


async def test_an_upgrade_that_the_library_refuses_is_answered(live: LiveMesh) -> None:
    for headers, status in (
        ((f"X: {'a' * 9_000}",), 431),
        (("Sec-WebSocket-Version: 8",), 400),
        (("Content-Length: 5",), 400),
    ):
        async with connected(live) as raw:
            await raw.send(upgrade(*headers))
            assert (await raw.rest()).startswith(b"HTTP/1.1 %d " % status), headers
    async with connected(live) as raw:
        await raw.send(upgrade(path="/v1/ws?\xff"))
        assert (await raw.answer()).status == 400


async def test_a_socket_can_not_begin_inside_of_another_requests_answer(live: LiveMesh) -> None:
    waiting = f"GET /v1/messages/wait?timeout_s=20 HTTP/1.1\r\nHost: localhost\r\n{bearer(live)}\r\n\r\n"
    async with connected(live) as raw:
        await raw.send(waiting.encode() + upgrade(bearer(live)))
        answer = await raw.answer()
        assert answer.headers["connection"] == "close"
        assert await raw.rest() == b""
