"""uvicorn's HTTP protocol, with limits on what it reads before anybody has shown a token.

uvicorn 0.54 bounds neither the size of headers nor the time for them with httptools, nor the number of
pipelined requests; it answers a malformed request in the midst of another's answer, and closes while a
client still sends, which resets the connection before the client has read why.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from repomesh.kernel import limits
from repomesh.kernel.errors import (
    FAILURES,
    ChunksTooSmall,
    HeadersTooLarge,
    MalformedRequest,
    RepomeshError,
    RequestTimeout,
)
from repomesh.kernel.telemetry import new_trace_id
from repomesh.surfaces.http.connections import (
    CONNECTION,
    OpenConnection,
    OpenConnections,
    TooManyConnections,
)
from repomesh.surfaces.http.problems import PROBLEM_JSON, headers_of, problem

HEALTH_PATH = "/healthz"


class _Reading(Enum):
    """What comes next from the client."""

    HEADERS = 1
    BODY = 2
    NOTHING = 3  # whatever comes is dropped: the connection ends


class _Dropped(Exception):
    """Nothing that comes is parsed any more.

    Raised in place of the error that is answered: an exception that was raised refers to the frames it
    passed, so a protocol that kept it would refer to itself, with all headers, until the garbage collector.
    """


class HttpProtocol(HttpToolsProtocol):
    """One connection that speaks HTTP/1.1."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place for the connection, or refuse it."""
        transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods alone
        connections: OpenConnections = self.config.connections  # type: ignore[attr-defined]
        if connections.drop_if_left(transport, self.loop.time()):
            return
        self._reading = _Reading.HEADERS
        self._ended = False
        self._running: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that came last
        self._header_bytes = 0
        self._idle_bytes = 0  # since the last byte of a body, or the end of headers
        self._chunks = 0  # of the present body, and its bytes
        self._body_bytes = 0
        self._dropped_bytes = 0
        self._refusal: RepomeshError | None = None
        self._connections = connections
        connection = connections.take(transport)
        self.connection = connection or OpenConnection(transport, connections, None)
        self._answering = _Answering(self, self.connection)
        super().connection_made(self.connection)
        self._expect_headers()
        if connection is None:
            self._reading = _Reading.NOTHING
            self._write_refusal(TooManyConnections("all places for connections are taken"))
            self.connection.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self.connection.lost()
        self._answering.release()
        self._reading = _Reading.NOTHING
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)
        # Requests that were not begun refer to this object: they would stay until the garbage collector.
        self.pipeline.clear()
        if self.cycle is not self._running:
            self.cycle = None  # type: ignore[assignment]  # as uvicorn begins with

    # -- what comes from the client ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse what came, a bounded piece at a time."""
        self._unset_keepalive_if_required()
        dropped_bytes = self._dropped_bytes
        piece_bytes = limits.HEADERS_BYTES_MAX
        for start in range(0, len(data), piece_bytes):
            if self._reading is _Reading.NOTHING:
                self._drop(len(data) - start)
                break
            self._parse(data[start : start + piece_bytes])
        if self._dropped_bytes > dropped_bytes and not self.connection.is_closing():
            self.connection.pause_reading()
            self._connections.draining.wait(self._read_on)

    def _read_on(self) -> bool:
        if self.flow.read_paused or self.connection.is_closing():
            return False
        self.connection.resume_reading()
        return True

    def _parse(self, piece: bytes) -> None:
        self._idle_bytes += len(piece)
        if self._reading is _Reading.HEADERS and _has_too_many_headers(piece):
            self._refuse(_too_many_headers())
            return
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            self._refuse(self._refusal or MalformedRequest("this is no request that HTTP/1.1 allows"))
        else:
            if self._idle_bytes > limits.HEADERS_BYTES_MAX:
                self._refuse(_headers_too_large())

    def _upgrade(self) -> None:
        """Hand over to the WebSocket's protocol; any other upgrade is passed over, and nothing follows it."""
        if not self._should_upgrade():
            self._take_no_more()
        elif self._is_answering() or not self.url.isascii():
            self._refuse(MalformedRequest("a WebSocket can't begin here"))
        else:
            self._reading = _Reading.NOTHING
            self.flow.pause_reading()
            self._connections.upgrading.wait(self._become_websocket)

    def _become_websocket(self) -> bool:
        if self.connection.is_closing():
            return False
        self.flow.resume_reading()
        self.handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it refers to this object
        self._answering.release()
        return True

    def on_message_begin(self) -> None:
        """Begin a request; one that would be dropped ends the parsing of all that came with it."""
        if self._reading is _Reading.NOTHING:
            raise _Dropped
        self._header_bytes = 0
        super().on_message_begin()
        extensions: dict[str, Any] = {CONNECTION: self.connection}
        self.scope["extensions"] = extensions

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target."""
        if self._reading is not _Reading.NOTHING:
            self._count_header(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body is dropped, since the application has read the others by now."""
        if self._reading is _Reading.NOTHING:
            return
        self._count_header(len(name) + len(value))
        if self._reading is _Reading.HEADERS:
            if len(self.headers) >= limits.HEADERS_COUNT_MAX:
                self._refusal = _too_many_headers()
                raise _Dropped
            super().on_header(name, value)

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > limits.HEADERS_BYTES_MAX:
            self._refusal = _headers_too_large()
            raise _Dropped

    def on_headers_complete(self) -> None:
        """Begin to answer, or queue the request behind those before it."""
        if self._reading is _Reading.NOTHING:
            return
        before = self.cycle
        super().on_headers_complete()
        self._reading = _Reading.BODY
        self._idle_bytes = self._dropped_bytes = 0
        self._chunks = self._body_bytes = 0
        self.connection.expect_nothing()
        if self.cycle is not before:
            self.cycle.transport = self._answering  # type: ignore[assignment]
        if len(self.pipeline) >= limits.PIPELINED_MAX:
            self._take_no_more()

    def on_chunk_header(self) -> None:
        """Count a chunk: each takes as long to parse as a kilobyte, so most must not be tiny."""
        self._chunks += 1
        tiny = self._body_bytes < self._chunks * limits.CHUNK_BYTES_MEAN_MIN
        if tiny and self._chunks > limits.SMALL_CHUNKS_MAX and self._reading is not _Reading.NOTHING:
            self._refusal = ChunksTooSmall(
                f"the first {self._chunks} chunks of the body hold {self._body_bytes} bytes"
            )
            raise _Dropped

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; behind the answer it is dropped."""
        self._idle_bytes = 0
        self._body_bytes += len(body)
        if self._reading is _Reading.NOTHING or self.cycle is None:
            return
        if self.cycle.response_complete:
            self._drop(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._reading is _Reading.NOTHING or self.cycle is None:
            return
        super().on_message_complete()
        self._reading = _Reading.HEADERS
        self._idle_bytes = 0
        if not self._is_answering():
            self._expect_headers()

    # -- ends --------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Go on with the next request, unless the connection ends with this answer."""
        if self._ended:
            self.server_state.total_requests += 1
            self.pipeline.clear()
            return
        if self.pipeline and not self.connection.is_closing():
            self.server_state.total_requests += 1
            self._connections.requests.wait(self._answer_next)
            return
        super().on_response_complete()
        if self.connection.is_closing():
            return
        self.cycle.body = bytearray()
        if self._reading is _Reading.BODY:
            self._expect(limits.DRAIN_S, self.end)
        else:
            self._expect_headers()

    def _answer_next(self) -> bool:
        """Begin to answer the request that waits longest; nothing more is read before the last of them."""
        if not self.pipeline or self.connection.is_closing():
            return False
        self._running, app = self.pipeline.pop()
        super()._start_asgi_task(self._running, app)
        return True

    def end(self) -> None:
        """Close; a client that still sends is let finish for a while, or it would not see the answer."""
        is_sending = self._reading is not _Reading.HEADERS
        self._reading = _Reading.NOTHING
        self._ended = True
        if self.connection.is_closing():
            return
        if not is_sending:
            self.connection.close()
            return
        self.flow.resume_reading()
        if self.connection.can_write_eof():
            self.connection.write_eof()
        self._expect(limits.DRAIN_S, self.connection.close)

    def _take_no_more(self) -> None:
        """Answer what was asked, then end: what is sent behind it gets no answer and can be sent again."""
        self._reading = _Reading.NOTHING
        self.flow.pause_reading()
        if self._is_answering():
            self.cycle.keep_alive = False
        else:
            self.end()

    def _drop(self, size: int) -> None:
        self._dropped_bytes += size
        if self._dropped_bytes > limits.DRAIN_BYTES_MAX:
            self._reading = _Reading.NOTHING
            self.connection.close()

    def _refuse(self, error: RepomeshError) -> None:
        """End the connection with an error, unless it would end up inside of another request's answer."""
        if self._reading is _Reading.NOTHING:
            return
        is_body = self._reading is _Reading.BODY  # which can now never be read to its end
        self._reading = _Reading.NOTHING
        self._forget_request()
        if is_body and self.pipeline:
            self.pipeline.popleft()  # the request that it belongs to
            is_body = False
        last = self.pipeline[0][0] if self.pipeline else self._running
        if last is None or last.response_complete:
            if is_body:  # its answer was sent before
                self.end()
                return
        elif not is_body:
            last.keep_alive = False
            return
        elif last.response_started:
            self.connection.abort()
            return
        else:
            last.disconnected = True
            last.message_event.set()
        self._write_refusal(error)
        self.end()

    def _forget_request(self) -> None:
        """Drop what was read of a request that is refused: its connection may stay open for a while."""
        self.parser = None  # type: ignore[assignment]  # nothing is parsed any more
        self.headers = []
        self.scope = None  # type: ignore[assignment]
        self.url = b""
        self._refusal = None

    def _is_answering(self) -> bool:
        return bool(self.pipeline) or (self._running is not None and not self._running.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin to answer; a client without a token takes its turn, since a flood asks over many connections.

        Whoever asks for the server's health does not wait for those that ask for anything else.
        """
        self._running = cycle
        if self.connection.is_authenticated:
            super()._start_asgi_task(cycle, app)
            return
        is_health = cycle.scope["path"] == HEALTH_PATH
        turns = self._connections.health_requests if is_health else self._connections.requests
        turns.wait(lambda: self._answer_first(cycle, app))

    def _answer_first(self, cycle: RequestResponseCycle, app: Any) -> bool:
        if cycle.disconnected or self.connection.is_closing():
            return False
        super()._start_asgi_task(cycle, app)
        return True

    def _write_refusal(self, error: RepomeshError) -> None:
        """Write an answer by hand: there is no request that the application could answer."""
        body = orjson.dumps(problem(error, new_trace_id()))
        length = str(len(body)).encode()
        fields = [
            *self.server_state.default_headers,
            (b"content-type", PROBLEM_JSON),
            (b"content-length", length),
            (b"connection", b"close"),
            *headers_of(error),
        ]
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        self.connection.write(STATUS_LINE[FAILURES[error.failure].http] + head + b"\r\n" + body)

    def _expect(self, within_s: float, or_else: Any) -> None:
        self.connection.expect(self.loop.time() + within_s, or_else)

    def _expect_headers(self) -> None:
        self._expect(limits.HEADERS_S, self._headers_overdue)

    def _headers_overdue(self) -> None:
        if self._idle_bytes:
            self._refuse(RequestTimeout(f"no whole request came within {limits.HEADERS_S:.0f} s"))
        else:
            self.connection.close()


class _Answering:
    """What an answer is written to. Closing it ends the connection as its protocol does."""

    def __init__(self, protocol: HttpProtocol, connection: OpenConnection) -> None:
        self._protocol: HttpProtocol | None = protocol
        self.write = connection.write
        self.is_closing = connection.is_closing

    def close(self) -> None:
        """End the connection behind the answer."""
        if self._protocol is not None:
            self._protocol.end()

    def release(self) -> None:
        """Drop the protocol: they refer to each other, and the garbage collector need not find that."""
        self._protocol = None


def _headers_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"request line and headers have more than {limits.HEADERS_BYTES_MAX} bytes")


def _too_many_headers() -> HeadersTooLarge:
    return HeadersTooLarge(f"there are more than {limits.HEADERS_COUNT_MAX} headers")


def _has_too_many_headers(piece: bytes) -> bool:
    """Whether a piece that begins in or before a request's headers has too many of them, without parsing it.

    Refusing these one by one takes three times as long, and others wait while thousands of clients send them.
    False where only the parser can say.
    """
    if piece.startswith((b"\r\n", b"\n")):  # perhaps the end of the headers
        return False
    end = piece.find(b"\r\n\r\n")
    lines = piece.count(b"\n", 0, len(piece) if end < 0 else end + 2)
    return lines > limits.HEADERS_COUNT_MAX + 1  # the first may be the request's
