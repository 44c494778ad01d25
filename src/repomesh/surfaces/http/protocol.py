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
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


class _Reading(Enum):
    """What the client sends next."""

    HEADERS = 1
    BODY = 2
    NOTHING = 3  # everything received is dropped: the connection ends


class _Dropped(Exception):
    """Stops the parser: nothing is parsed any more.

    Raised in place of the error in the response: a raised exception refers to the frames it passed, so a
    protocol that kept it would refer to itself, with all headers, until the garbage collector runs.
    """


class HttpProtocol(HttpToolsProtocol):
    """One connection that speaks HTTP/1.1."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place for the connection, or refuse it."""
        transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the base class
        connections: OpenConnections = self.config.connections  # type: ignore[attr-defined]
        if connections.drop_if_client_left(transport, self.loop.time()):
            return
        self._reading = _Reading.HEADERS
        self._ended = False
        self._is_ignoring_upgrade = False
        self._running_cycle: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that came last
        self._header_bytes = 0
        self._idle_bytes = 0  # since the last byte of a body, or the end of headers
        self._chunks = 0  # of the present body, and its bytes
        self._body_bytes = 0
        self._dropped_bytes = 0
        self._refusal: RepomeshError | None = None
        self._connections = connections
        connection = connections.take(transport)
        self.connection = connection or OpenConnection(transport, connections, None)
        self._response_transport = _ResponseTransport(self, self.connection)
        super().connection_made(self.connection)
        self._set_headers_deadline()
        if connection is None:
            self._reading = _Reading.NOTHING
            self._write_refusal(TooManyConnections("all places for connections are taken"))
            self.connection.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self.connection.release_place()
        self._response_transport.release()
        self._reading = _Reading.NOTHING
        if self._running_cycle is not None and not self._running_cycle.response_complete:
            self._running_cycle.disconnected = True
            self._running_cycle.message_event.set()
        super().connection_lost(exc)
        # Requests that were not begun refer to this object: they would stay until the garbage collector runs.
        self.pipeline.clear()
        if self.cycle is not self._running_cycle:
            self.cycle = None  # type: ignore[assignment]  # as uvicorn begins with

    # -- what comes from the client ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes, a bounded piece at a time."""
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
            self._connections.draining.schedule(self._resume_reading)

    def _resume_reading(self) -> bool:
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
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._refusal or MalformedRequest("this is no request that HTTP/1.1 allows"))
        else:
            if self._idle_bytes > limits.HEADERS_BYTES_MAX:
                self._refuse(_headers_too_large())

    def _upgrade(self, rest: bytes) -> None:
        """Hand over to the WebSocket protocol; any other upgrade is ignored (RFC 9110, section 7.8)."""
        if self._is_ignoring_upgrade:
            self._parse_without_upgrade(rest)
        elif not self._should_upgrade():  # CONNECT
            self._stop_reading()
        elif self._is_answering() or not self.url.isascii():
            self._refuse(MalformedRequest("a WebSocket can't begin here"))
        else:
            self._reading = _Reading.NOTHING
            self.flow.pause_reading()
            self._connections.upgrading.schedule(self._become_websocket)

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Parse the request's head again without its upgrade, then `rest`: the parser left out the body."""
        self._is_ignoring_upgrade = False
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                value = b", ".join(token for token in tokens if token.lower() not in _UPGRADE_HEADERS)
            if name not in _UPGRADE_HEADERS and value:
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self._idle_bytes = 0
        self._parse(b"".join([*head, b"\r\n"]))
        if rest and self._reading is not _Reading.NOTHING:
            self._parse(rest)

    def _become_websocket(self) -> bool:
        if self.connection.is_closing():
            return False
        self.flow.resume_reading()
        self.handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it refers to this object
        self._response_transport.release()
        return True

    def on_message_begin(self) -> None:
        """Begin a request; raises _Dropped, which ends the parsing, where it would be dropped."""
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
        """Take a header; one behind the body is dropped: the application has read the others already."""
        if self._reading is _Reading.NOTHING:
            return
        self._count_header(len(name) + len(value))
        if self._reading is _Reading.HEADERS:
            if len(self.headers) >= limits.HEADERS_COUNT_MAX:
                self._refusal = _too_many_headers()
                raise _Dropped
            if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._refusal = MalformedRequest("the body's Transfer-Encoding is another than 'chunked'")
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
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._is_ignoring_upgrade = not self._should_upgrade()
            if self._is_ignoring_upgrade:
                return
        previous_cycle = self.cycle
        super().on_headers_complete()
        self._reading = _Reading.BODY
        self._idle_bytes = self._dropped_bytes = 0
        self._chunks = self._body_bytes = 0
        self.connection.clear_deadline()
        if self.cycle is not previous_cycle:
            self.cycle.transport = self._response_transport  # type: ignore[assignment]
        if len(self.pipeline) >= limits.PIPELINED_MAX:
            self._stop_reading()

    def on_chunk_header(self) -> None:
        """Count a chunk: each takes as long to parse as a kilobyte, so most must not be tiny."""
        self._chunks += 1
        is_tiny = self._body_bytes < self._chunks * limits.CHUNK_BYTES_MEAN_MIN
        if is_tiny and self._chunks > limits.SMALL_CHUNKS_MAX and self._reading is not _Reading.NOTHING:
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
        if self._reading is _Reading.NOTHING or self.cycle is None or self._is_ignoring_upgrade:
            return
        super().on_message_complete()
        self._reading = _Reading.HEADERS
        self._idle_bytes = 0
        if not self._is_answering():
            self._set_headers_deadline()

    # -- ends --------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Start the next request, unless the connection ends with this response."""
        if self._ended:
            self.server_state.total_requests += 1
            self.pipeline.clear()
            return
        if self.pipeline and not self.connection.is_closing():
            self.server_state.total_requests += 1
            self._connections.requests.schedule(self._start_next_request)
            return
        super().on_response_complete()
        if self.connection.is_closing():
            return
        self.cycle.body = bytearray()
        if self._reading is _Reading.BODY:
            self._set_deadline(limits.DRAIN_S, self.end)
        else:
            self._set_headers_deadline()

    def _start_next_request(self) -> bool:
        """Start the oldest queued request; nothing more is read while requests are queued."""
        if not self.pipeline or self.connection.is_closing():
            return False
        self._running_cycle, app = self.pipeline.pop()
        super()._start_asgi_task(self._running_cycle, app)
        return True

    def end(self) -> None:
        """Close; a client that still sends may finish within `DRAIN_S`, or it would not read the response."""
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
        self._set_deadline(limits.DRAIN_S, self.connection.close)

    def _stop_reading(self) -> None:
        """Answer the requests so far, then close: later ones get no response and can be sent again."""
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
        """End the connection with an error response, unless it would land inside another response."""
        if self._reading is _Reading.NOTHING:
            return
        is_body = self._reading is _Reading.BODY  # which can now never be read to its end
        self._reading = _Reading.NOTHING
        self._forget_request()
        if is_body and self.pipeline:
            self.pipeline.popleft()  # the request that it belongs to
            is_body = False
        last_cycle = self.pipeline[0][0] if self.pipeline else self._running_cycle
        if last_cycle is None or last_cycle.response_complete:
            if is_body:  # its response was sent before
                self.end()
                return
        elif not is_body:
            last_cycle.keep_alive = False
            return
        elif last_cycle.response_started:
            self.connection.abort()
            return
        else:
            last_cycle.disconnected = True
            last_cycle.message_event.set()
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
        return bool(self.pipeline) or (
            self._running_cycle is not None and not self._running_cycle.response_complete
        )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start a request; clients without a token take turns, since a flood comes over many connections.

        Health requests have turns of their own, so that they do not wait for other requests.
        """
        self._running_cycle = cycle
        if self.connection.is_authenticated:
            super()._start_asgi_task(cycle, app)
            return
        is_health = cycle.scope["path"] == HEALTH_PATH
        turns = self._connections.health_requests if is_health else self._connections.requests
        turns.schedule(lambda: self._start_unless_closed(cycle, app))

    def _start_unless_closed(self, cycle: RequestResponseCycle, app: Any) -> bool:
        if cycle.disconnected or self.connection.is_closing():
            return False
        super()._start_asgi_task(cycle, app)
        return True

    def _write_refusal(self, error: RepomeshError) -> None:
        """Write a response by hand: there is no request that the application could answer."""
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

    def _set_deadline(self, within_s: float, on_overdue: Any) -> None:
        self.connection.set_deadline(self.loop.time() + within_s, on_overdue)

    def _set_headers_deadline(self) -> None:
        self._set_deadline(limits.HEADERS_S, self._handle_overdue_headers)

    def _handle_overdue_headers(self) -> None:
        if self._idle_bytes:
            self._refuse(RequestTimeout(f"no whole request came within {limits.HEADERS_S:.0f} s"))
        else:
            self.connection.close()


class _ResponseTransport:
    """The transport that a response is written to. Closing it ends the connection through its protocol."""

    def __init__(self, protocol: HttpProtocol, connection: OpenConnection) -> None:
        self._protocol: HttpProtocol | None = protocol
        self.write = connection.write
        self.is_closing = connection.is_closing

    def close(self) -> None:
        """End the connection after the response."""
        if self._protocol is not None:
            self._protocol.end()

    def release(self) -> None:
        """Drop the protocol, so that the reference cycle is freed without the garbage collector."""
        self._protocol = None


def _headers_too_large() -> HeadersTooLarge:
    return HeadersTooLarge(f"request line and headers have more than {limits.HEADERS_BYTES_MAX} bytes")


def _too_many_headers() -> HeadersTooLarge:
    return HeadersTooLarge(f"there are more than {limits.HEADERS_COUNT_MAX} headers")


def _has_too_many_headers(piece: bytes) -> bool:
    """Whether a piece that begins in or before a request's headers has too many of them, without parsing it.

    Letting the parser refuse them takes three times as long, and others wait while thousands of clients send
    them. Returns False where only the parser can decide.
    """
    if piece.startswith((b"\r\n", b"\n")):  # perhaps the end of the headers
        return False
    end = piece.find(b"\r\n\r\n")
    lines = piece.count(b"\n", 0, len(piece) if end < 0 else end + 2)
    return lines > limits.HEADERS_COUNT_MAX + 1  # the first may be the request's
