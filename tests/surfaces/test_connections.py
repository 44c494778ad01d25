"""What a client can do to the server without a token: little, and not for long."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import orjson
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from harness import Mesh
from live import LiveMesh, live
from rawsocket import connected, in_loop, request, sweep, until, upgrade
from repomesh.kernel import limits
from repomesh.kernel.limits import BODY_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX, PIPELINED_MAX
from repomesh.surfaces.http.connections import OpenConnection
from repomesh.surfaces.http.fair_turns import FairTurns
from repomesh.surfaces.http.protocol import HttpProtocol
from repomesh.surfaces.stream.protocol import Protocol

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

__all__ = ["live"]

HEALTH = request("GET", "/healthz")
_WAIT_S = 60  # a guard against hanging; nothing here takes long by itself


async def test_headers_are_bounded(live: LiveMesh) -> None:
    fits = HEADERS_BYTES_MAX - len("/healthz") - len("hostlocalhost") - len("x")
    for size, status in ((fits, 200), (fits + 1, 431)):
        async with connected(live) as raw:
            await raw.send(request("GET", "/healthz", f"X: {'a' * size}"))
            assert (await raw.answer()).status == status, size
    for count, status in ((HEADERS_COUNT_MAX, 200), (HEADERS_COUNT_MAX + 1, 431)):
        async with connected(live) as raw:
            await raw.send(request("GET", "/healthz", *["X: a"] * (count - 1)))
            assert (await raw.answer()).status == status, count


async def test_headers_are_counted_wherever_they_are_split(live: LiveMesh) -> None:
    for count, status in ((HEADERS_COUNT_MAX, 200), (HEADERS_COUNT_MAX + 1, 431)):
        asked = request("GET", "/healthz", *["X: a"] * (count - 1)) + HEALTH
        for split in (1, 20, 21, 22, 40, len(asked) - len(HEALTH) - 2, len(asked) - len(HEALTH)):
            async with connected(live) as raw:
                await raw.send(asked[:split])
                await live.get("/v1/agents")  # the server has read these by now
                await raw.send(asked[split:])
                assert (await raw.answer()).status == status, (count, split)


async def test_a_header_that_never_ends_is_refused_and_not_kept(live: LiveMesh) -> None:
    for begun in (b"GET /healthz HTTP/1.1\r\nX: ", b"GET /", b"\r\n"):
        async with connected(live) as raw:
            await raw.send(begun, *[(b"\r\n" if begun == b"\r\n" else b"a") * 100_000] * 3)
            assert (await raw.answer()).code == "headers_too_large"
            await sweep(live, limits.DRAIN_S)
            assert await raw.rest() == b""


async def test_headers_have_a_deadline(live: LiveMesh) -> None:
    async with connected(live) as idle, connected(live) as slow, connected(live) as blank:
        await idle.send(HEALTH)
        assert (await idle.answer()).status == 200
        await slow.send(b"GET /healthz HTTP/1.1\r\nX: ")
        await blank.send(b"\r\n")
        await live.get("/v1/agents")  # the server has read these by now
        await sweep(live, limits.HEADERS_S)
        assert (await slow.answer()).code == "request_timeout"
        assert (await blank.answer()).code == "request_timeout"
        assert await idle.rest() == b""


async def test_what_is_behind_the_headers_is_not_read_before_they_are_valid(live: LiveMesh) -> None:
    declared = f"Content-Length: {limits.CONTENT_BODY_BYTES_MAX}"
    signed = ("Webhook-Id: a", "Webhook-Timestamp: 1", f"Webhook-Signature: v1,{'A' * 43}=")
    for headers in ((), ("X-Api-Key: nonsense",), ("Authorization: Bearer nonsense",), signed):
        for path in ("/v1/webhook", "/v1/agents/register", "/mcp", "/v1/hooks/claude/Stop"):
            async with connected(live) as raw:
                await raw.send(request("POST", path, declared, *headers))
                assert (await raw.answer()).status == 401, (path, headers)


async def test_a_body_has_a_deadline(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_BODY_S", 0.01)

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    bearer = (b"authorization", f"Bearer {mesh.token}".encode())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/tokens",
        "raw_path": b"/v1/tokens",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), bearer],
    }
    await mesh.server.asgi(scope, never, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


async def test_a_client_that_still_sends_sees_why_it_was_refused(live: LiveMesh) -> None:
    for connection in ("keep-alive", "close"):
        async with connected(live) as raw:
            headers = (
                f"Content-Length: {BODY_BYTES_MAX + 1_000_000}",
                f"Authorization: Bearer {live.token}",
                f"Connection: {connection}",
                "Content-Type: application/json",
            )
            await raw.send(request("POST", "/v1/tokens", *headers), *[b"x" * 100_000] * 115)
            assert (await raw.answer()).code == "too_large"


async def test_what_is_sent_behind_an_answer_is_dropped_up_to_a_limit(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(live) as raw:
        await raw.send(request("POST", "/v1/tokens", "Content-Length: 100000"))
        assert (await raw.answer()).status == 401
        await raw.send(b"x" * 100_000, HEALTH)
        assert (await raw.answer()).status == 200  # the same connection goes on
    monkeypatch.setattr(limits, "DRAIN_BYTES_MAX", 50_000)
    async with connected(live) as raw:
        await raw.send(request("POST", "/v1/tokens", "Content-Length: 100000"))
        assert (await raw.answer()).status == 401
        await raw.send(b"x" * 100_000, HEALTH)
        assert await raw.rest() == b""
    async with connected(live) as raw:
        await raw.send(request("POST", "/v1/tokens", "Content-Length: 100000"))
        assert (await raw.answer()).status == 401
        await raw.send(b"x")
        await live.get("/v1/agents")
        await sweep(live, limits.DRAIN_S, 3 * limits.DRAIN_S)
        assert await raw.rest() == b""


async def test_work_that_many_ask_for_is_done_in_turns(engine: str) -> None:
    turns, at_once, rounds = FairTurns(4, 0.0), 4, 0
    done: list[int] = []

    def work(number: int) -> bool:
        done.append(number)
        return True

    for number in range(3 * at_once):
        turns.schedule(partial(work, number))
        turns.schedule(lambda: False)  # a connection that is closed takes no turn from another
    assert len(done) == at_once
    while len(done) < 3 * at_once:
        before = len(done)
        await asyncio.sleep(0)
        rounds += len(done) > before
        assert len(done) - before <= at_once
    assert (done, rounds) == (sorted(done), 2)


async def test_work_in_several_pieces_goes_behind_what_waits_with_each_of_them(engine: str) -> None:
    turns = FairTurns(2, 0.0)
    done: list[str] = []

    def piece(name: str, left: int) -> bool:
        done.append(name)
        if left:
            turns.schedule(partial(piece, name, left - 1))
        return True

    turns.schedule(partial(piece, "long", 3))
    for _ in range(3):
        turns.schedule(partial(piece, "short", 0))
    assert len(done) == 2
    for _ in range(10 * len(done)):
        await asyncio.sleep(0)
    assert done == ["long", "long", "long", "short", "short", "short", "long"]


async def test_health_waits_for_no_other_request_of_clients_without_a_token(live: LiveMesh) -> None:
    turns = live.web.connections.requests

    async def hold() -> None:
        turns._runs_left = 0
        turns._next_turn = asyncio.get_running_loop().call_later(_WAIT_S, turns._begin_turn)

    async def go_on() -> None:
        assert len(turns) == 1
        turns._begin_turn()

    await in_loop(live, hold())
    async with connected(live) as asking, connected(live) as probing:
        await asking.send(request("GET", "/v1/agents"))
        await probing.send(HEALTH)
        assert (await probing.answer()).status == 200
        await in_loop(live, go_on())
        assert (await asking.answer()).status == 401


async def test_clients_that_have_left_before_their_turn_are_not_served(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While many come at once; at other times one may end its direction and wait for the answer."""
    monkeypatch.setattr(limits, "CROWD_S", _WAIT_S)  # however slowly a loaded machine accepts them
    blocked, goes_on = threading.Event(), threading.Event()
    address = live.web.servers[0].sockets[0].getsockname()

    async def block() -> None:
        blocked.set()
        goes_on.wait(_WAIT_S)

    async def requests_of(count: int) -> float:
        blocked.clear()
        goes_on.clear()
        before = live.web.server_state.total_requests
        blocking = asyncio.create_task(in_loop(live, block()))
        await asyncio.to_thread(blocked.wait, _WAIT_S)
        for _ in range(count):
            with socket.create_connection(address, timeout=_WAIT_S) as client:
                client.sendall(HEALTH)
        goes_on.set()
        await blocking
        async with connected(live) as raw:  # behind them
            await raw.send(HEALTH)
            assert (await raw.answer()).status == 200
        await until(lambda: _is_no_more_than(lambda: list(live.web.server_state.connections), 0))
        return live.web.server_state.total_requests - before - 1

    assert await requests_of(10) == 10
    assert 0 < await requests_of(3 * limits.CROWD_CONNECTIONS) <= limits.CROWD_CONNECTIONS


async def test_many_sockets_at_once_are_all_upgraded(live: LiveMesh) -> None:
    async with AsyncExitStack() as open_ones:
        count = 3 * limits.UPGRADES_PER_TURN + 1
        sockets = [await open_ones.enter_async_context(connected(live)) for _ in range(count)]
        await asyncio.gather(*(raw.send(upgrade()) for raw in sockets))
        assert {(await raw.answer()).status for raw in sockets} == {101}


async def test_pipelined_requests_of_many_connections_are_all_answered_in_order(live: LiveMesh) -> None:
    asked = (HEALTH + request("GET", "/nothing")) * (PIPELINED_MAX // 2)
    async with AsyncExitStack() as open_ones:
        count = limits.REQUESTS_PER_TURN + 1
        many = [await open_ones.enter_async_context(connected(live)) for _ in range(count)]
        await asyncio.gather(*(raw.send(asked) for raw in many))
        for raw in many:
            statuses = [(await raw.answer()).status for _ in range(PIPELINED_MAX)]
            assert statuses == [200, 404] * (PIPELINED_MAX // 2)
            await raw.send(HEALTH)  # the connection goes on
            assert (await raw.answer()).status == 200


async def test_connections_leave_nothing_to_the_garbage_collector(live: LiveMesh) -> None:
    """A flood of connections would keep it busy, and nobody is served meanwhile."""

    def left() -> list[object]:
        return [
            each for each in gc.get_objects() if isinstance(each, HttpProtocol | Protocol | OpenConnection)
        ]

    gc.collect()
    gc.disable()
    try:
        for asked in (
            HEALTH,
            HEALTH * (3 * PIPELINED_MAX),
            request("GET", "/v1/stream"),
            upgrade(),
            b"x",
            b"\x00\r\n\r\n",
            request("GET", "/healthz", *["X: a"] * HEADERS_COUNT_MAX),
            request("GET", "/" + "a" * HEADERS_BYTES_MAX),
            request("GET", "/healthz", "X: " + "a" * HEADERS_BYTES_MAX),
            request("POST", "/v1/tokens", "Transfer-Encoding: chunked", body=b"ZZ\r\n"),
            HEALTH + b"\x00\r\n\r\n",
            b"\r\n" * HEADERS_BYTES_MAX,
        ):
            before = len(left())
            async with connected(live) as raw:
                await raw.send(asked)
                if asked != b"x":
                    await raw.answer()
                raw.writer.transport.abort()
            await until(lambda: _is_no_more_than(left, before))  # noqa: B023 - awaited at once
    finally:
        gc.enable()


async def test_connections_that_end_with_requests_in_their_queue_leave_nothing_either(live: LiveMesh) -> None:
    """400 of them a second left a gigabyte within two minutes."""

    def left() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, HttpProtocol | RequestResponseCycle)]

    gc.collect()
    before = len(left())
    gc.disable()
    try:
        async with AsyncExitStack() as open_ones:
            count = 4 * limits.REQUESTS_PER_TURN
            many = [await open_ones.enter_async_context(connected(live)) for _ in range(count)]
            for raw in many:
                await raw.send(HEALTH * PIPELINED_MAX)
            for raw in many:
                raw.writer.transport.abort()
        await until(lambda: _is_no_more_than(left, before))
    finally:
        gc.enable()


async def _is_no_more_than(left: Callable[[], Sequence[object]], before: int) -> bool:
    return len(left()) <= before


async def test_several_connections_are_accepted_in_one_round_of_the_loop(live: LiveMesh) -> None:
    """With one a round, whoever comes behind a flood waits as many rounds as the flood has connections."""
    blocked, goes_on = threading.Event(), threading.Event()
    address = live.web.servers[0].sockets[0].getsockname()
    count = 3 * limits.ACCEPTS_PER_ROUND
    accepted: list[int] = []

    async def watch() -> None:
        blocked.set()
        await asyncio.sleep(0)
        goes_on.wait(_WAIT_S)
        end = len(live.web.connections) + count
        while len(live.web.connections) < end:
            before = len(live.web.connections)
            await asyncio.sleep(0)
            accepted.append(len(live.web.connections) - before)

    watching = asyncio.create_task(in_loop(live, watch()))
    await asyncio.to_thread(blocked.wait, _WAIT_S)
    clients = [socket.create_connection(address, timeout=_WAIT_S) for _ in range(count)]
    goes_on.set()
    async with asyncio.timeout(_WAIT_S):
        await watching
    for client in clients:
        client.close()
    assert 1 < max(accepted) <= limits.ACCEPTS_PER_ROUND


async def test_pipelined_requests_are_answered_up_to_a_limit_then_the_connection_ends(live: LiveMesh) -> None:
    async with connected(live) as raw:
        await raw.send(HEALTH * (3 * PIPELINED_MAX))
        answers = [await raw.answer() for _ in range(PIPELINED_MAX + 1)]
        assert {answer.status for answer in answers} == {200}
        assert ["connection" in answer.headers for answer in answers] == [False] * PIPELINED_MAX + [True]
        assert await raw.rest() == b""


async def test_an_error_is_never_written_into_another_requests_answer(live: LiveMesh) -> None:
    async with connected(live) as raw:
        await raw.send(HEALTH + b"nonsense\r\n\r\n")
        answer = await raw.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await raw.rest() == b""


async def test_a_request_whose_end_can_be_read_in_two_ways_is_refused(live: LiveMesh) -> None:
    hidden = request("GET", "/healthz")
    for headers in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5, 5",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: -5",),
        ("Content-Length: 99999999999999999999999",),
        ("Content-Length : 5",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding : chunked",),
        ("X: a\r\n folded",),
        ("X: a\rb",),
        ("X: a\x00b",),
    ):
        async with connected(live) as raw:
            await raw.send(request("POST", "/v1/tokens", *headers, body=b"0\r\n\r\n" + hidden))
            assert (await raw.answer()).code == "malformed_request", headers
            await sweep(live, limits.DRAIN_S)
            assert await raw.rest() == b"", headers
    for line in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00"):
        async with connected(live) as raw:
            await raw.send(line)
            assert (await raw.answer()).code == "malformed_request", line


async def test_a_chunk_that_is_none_ends_the_request_without_an_answer_of_the_application(
    live: LiveMesh,
) -> None:
    headers = ("Transfer-Encoding: chunked", f"Authorization: Bearer {live.token}")
    async with connected(live) as raw:
        await raw.send(request("POST", "/v1/agents/register", *headers, body=b"5\r\n{}\r\nZZ\r\n\r\n"))
        assert (await raw.answer()).code == "malformed_request"
        await sweep(live, limits.DRAIN_S)
        assert await raw.rest() == b""
    assert (await live.get("/v1/agents"))["items"] == []


def chunked(size: int, count: int) -> bytes:
    """The beginning of a body of so many chunks of this size."""
    return b"%x\r\n%s\r\n" % (size, b"a" * size) * count


async def test_a_body_of_tiny_chunks_is_refused_with_or_without_a_token(live: LiveMesh) -> None:
    """Each takes as long to parse as a kilobyte; a million of them from 20 clients took 4 s."""
    token = f"Authorization: Bearer {live.token}"
    begun = request("POST", "/v1/tokens", "Transfer-Encoding: chunked", token)
    async with connected(live) as raw:
        await raw.send(begun, chunked(1, limits.SMALL_CHUNKS_MAX - 1), b"0\r\n\r\n")  # the last counts, too
        assert (await raw.answer()).code != "chunks_too_small"
    for piece in (chunked(1, 2), b"1;" + b"x" * 20 + b"\r\na\r\n"):
        async with connected(live) as raw:
            await raw.send(begun, piece * limits.SMALL_CHUNKS_MAX * 2)
            answer = await raw.answer()
            assert (answer.status, answer.code) == (400, "chunks_too_small")
    async with connected(live) as raw:
        await raw.send(
            begun, b'a\r\n{"label": "\r\n', chunked(limits.CHUNK_BYTES_MEAN_MIN, 3 * limits.SMALL_CHUNKS_MAX)
        )
        await raw.send(b'2\r\n"}\r\n', b"0\r\n\r\n")
        assert (await raw.answer()).code != "chunks_too_small"  # read to its end
    async with connected(live) as raw:  # what comes behind a refusal is not parsed either
        await raw.send(request("POST", "/v1/tokens", "Transfer-Encoding: chunked"))
        assert (await raw.answer()).status == 401
        await raw.send(chunked(1, 4 * limits.SMALL_CHUNKS_MAX))
        assert await raw.rest() == b""


async def test_headers_behind_a_body_count_for_nothing(live: LiveMesh) -> None:
    chunked = request("POST", "/v1/tokens", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n")
    async with connected(live) as raw:
        await raw.send(chunked + f"Authorization: Bearer {live.token}\r\n\r\n".encode() + HEALTH)
        assert (await raw.answer()).status == 401
        assert (await raw.answer()).status == 200
    trailers = request("POST", "/v1/tokens", "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\nX: ")
    async with connected(live) as raw:
        await raw.send(trailers)
        assert (await raw.answer()).status == 401
        await raw.send(*[b"a" * 50_000] * 3)
        await sweep(live, limits.DRAIN_S)
        assert await raw.rest() == b""


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.2", "websocket2"])
@pytest.mark.parametrize("length", [["Content-Length: 14"], ["Transfer-Encoding: chunked"]])
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_an_upgrade_to_anything_else_is_ignored(
    live: LiveMesh, protocol: str, length: list[str], step: int
) -> None:
    """The request is answered as if it did not offer one, with its body, and the connection goes on."""
    offer = "Connection: keep-alive, Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAM"
    token = f"Authorization: Bearer {live.token}"
    body = b'{"name": "h2"}' if "Content" in length[0] else b'e\r\n{"name": "h2"}\r\n0\r\n\r\n'
    headers = *offer, token, "Content-Type: application/json", *length
    sent = request("POST", "/v1/agents/register", *headers, body=body) + HEALTH
    async with connected(live) as raw:
        await raw.send(*(sent[start : start + step] for start in range(0, len(sent), step)))
        answer = await raw.answer()
        assert (answer.status, orjson.loads(answer.body)["agent"]["name"]) == (200, "h2")
        assert (await raw.answer()).status == 200
        await raw.send(request("GET", "/healthz", *offer) + HEALTH)
        assert [(await raw.answer()).status for _ in range(2)] == [200, 200]


async def test_connect_ends_the_connection(live: LiveMesh) -> None:
    async with connected(live) as raw:
        await raw.send(request("CONNECT", "localhost:80", "Connection: Upgrade", "Upgrade: h2c") + HEALTH)
        assert (await raw.answer()).status >= 400
        await sweep(live, limits.DRAIN_S)
        assert await raw.rest() == b""


async def test_a_client_that_takes_no_answer_is_cut_off(live: LiveMesh) -> None:
    async with connected(live) as raw:
        raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await live.get("/openapi.json")
        size = len((await live.request("GET", "/openapi.json")).content)
        asked = request("GET", "/openapi.json") * PIPELINED_MAX
        for _ in range(1 + 8_000_000 // (size * PIPELINED_MAX)):
            await raw.send(asked)
        await live.get("/v1/agents")
        before, after_s = len(live.web.connections), 0.0

        async def is_cut_off() -> bool:
            # The kernel takes what it has room for at its own pace: each time again as if so long had passed.
            nonlocal after_s
            after_s += limits.STALLED_S
            await sweep(live, after_s, after_s + limits.CLOSING_S)
            await live.get("/v1/agents")
            return len(live.web.connections) == before - 1

        await until(is_cut_off)


async def test_answers_that_one_agent_does_not_read_are_few(live: LiveMesh) -> None:
    live.server.gateway.answers._each = 2
    eve, bob = await live.agent("eve"), await live.agent("bob")
    for _ in range(3):
        await eve.post("/v1/messages", to=["bob"], body="x" * 250_000)
    read = request("GET", "/v1/messages?limit=3", f"Authorization: Bearer {eve.token}")
    async with AsyncExitStack() as stack:
        unread = [await stack.enter_async_context(connected(live)) for _ in range(12)]
        for raw in unread:
            raw.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await raw.send(read * 4)
        turns = live.server.gateway.answers

        async def all_wait() -> bool:
            return eve.id in turns._callers and turns._callers[eve.id].tasks == len(unread)

        await until(all_wait)
        assert len((await bob.get("/v1/messages", limit=3))["items"]) == 3
        unsent = sum(connection.get_write_buffer_size() for connection in live.web.connections._open)
        assert unsent < 2 * len((await bob.request("GET", "/v1/messages?limit=3")).content) + 100_000


async def test_an_address_is_that_of_the_connection(live: LiveMesh) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip"):
        async with connected(live) as raw:
            await raw.send(request("GET", "/healthz", f"{name}: 192.0.2.1"))
            assert (await raw.answer()).status == 200
            assert {each.address for each in live.web.connections._open} == {None}
