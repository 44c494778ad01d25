"""uvicorn's WebSocket protocol, with limits before authentication and the extension that takes ready frames.

uvicorn 0.54 parses all received bytes at once (10 µs for each frame, however small), counts no fragments,
answers pings without end to a client that does not read, and sends no response to an upgrade whose headers
its library refuses.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from repomesh.kernel import limits
from repomesh.surfaces.http.connections import CONNECTION, OpenConnection
from repomesh.surfaces.stream.wire import FRAMES

_BAD_UPGRADE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Protocol(WebSocketsSansIOProtocol):
    """One connection that speaks WebSocket. Ready frames are not compressed, so never beside deflate."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection whose request asked for an upgrade."""
        super().connection_made(transport)
        self.connection = cast(OpenConnection, transport)
        self._unparsed = bytearray()
        self._turns = self.config.connections.frames  # type: ignore[attr-defined]
        self._is_waiting = False
        self._early_bytes = 0
        self._early_pings = 0
        self._late_bytes = 0  # behind the server's close
        self.conn.max_message_size = limits.SOCKET_AUTH_FRAME_BYTES_MAX
        within_s = limits.SOCKET_AUTH_S + limits.STREAM_CLOSE_S  # time for the application's own reason
        self.connection.set_deadline(self.loop.time() + within_s, self.connection.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self.connection.release_place()
        self._unparsed.clear()
        self.conn.parser.close()  # ends a reference cycle
        super().connection_lost(exc)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Drop the references back to this object, so that it is freed without the garbage collector."""
        super().on_task_complete(task)
        self.scope["extensions"].clear()

    def mark_authenticated(self, message_bytes_max: int = 0) -> None:
        """Let the client send larger messages: it has shown a valid token."""
        self.conn.max_message_size = message_bytes_max
        self.connection.mark_authenticated()
        self.connection.clear_deadline()

    # -- what comes from the client ----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes, a bounded piece at a time."""
        if self.close_sent and self._close_on_late_data(len(data)):
            return
        self._unparsed += data
        self._schedule_parsing()
        if self._unparsed and not self.transport.is_closing():
            self.transport.pause_reading()  # a close that is sent resumes it

    def _close_on_late_data(self, size: int) -> bool:
        """Close a connection that receives too much behind the server's close; True if it was closed."""
        self._late_bytes += size
        if self._late_bytes <= limits.SOCKET_CLOSING_BYTES_MAX:
            return False
        self._unparsed.clear()
        self.transport.close()
        return True

    def _schedule_parsing(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self._turns.schedule(self._parse)

    def _parse(self) -> bool:
        self._is_waiting = False
        if self.disconnected or not self._unparsed:
            return False
        was_upgraded = self.handshake_initiated
        # The upgrade's headers come from the HTTP protocol, which has bounded them.
        size = limits.SOCKET_SLICE_BYTES if was_upgraded else len(self._unparsed)
        piece = bytes(self._unparsed[:size])
        del self._unparsed[:size]
        super().data_received(piece)
        if not was_upgraded:
            self._refuse_handshake()
        elif not self.connection.is_authenticated:
            self._early_bytes += len(piece)
            if self._early_bytes > limits.SOCKET_AUTH_BYTES_MAX:
                self._close_violating("authenticate first")
        self._continue()
        return True

    def _continue(self) -> None:
        """Resume reading when everything is parsed, and parsing when the application's queue is empty."""
        if self.transport.is_closing() or self.read_paused:
            return
        if not self._unparsed:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
            self._schedule_parsing()

    async def receive(self) -> Any:
        """The next message for the application."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._continue()
        return message

    def _refuse_handshake(self) -> None:
        """Refuse an upgrade whose headers the library refused, with its response where it has one."""
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.handshake_complete = self.close_sent = True
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_UPGRADE)
            self.transport.close()

    def _close_violating(self, reason: str) -> None:
        if not self.close_sent and self.conn.state is State.OPEN:
            self.conn.fail(CloseCode.POLICY_VIOLATION, reason)
            self.handle_parser_exception()

    def handle_connect(self, event: Request) -> None:
        """Begin to serve a socket."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = cast(dict[str, Any], self.scope["extensions"])
            extensions[CONNECTION] = self
            if not self.config.ws_per_message_deflate:
                extensions[FRAMES] = {}

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment."""
        if len(self.frames) >= limits.SOCKET_FRAGMENTS_MAX:
            self._close_violating(f"a message has at most {limits.SOCKET_FRAGMENTS_MAX} fragments")
        elif not self.close_sent:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, unless the client reads no answers."""
        self._count_early_ping()
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong, solicited or not."""
        self._count_early_ping()
        super().handle_pong(event)

    def _count_early_ping(self) -> None:
        if not self.connection.is_authenticated:
            self._early_pings += 1
            if self._early_pings > limits.SOCKET_AUTH_PINGS_MAX:
                self._close_violating("authenticate first")

    # -- what goes to the client -------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """Take a message of the application; raises ClientDisconnected for frames that nobody would get."""
        if message["type"] != FRAMES:
            await super().send(message)
            return
        if not self.writable.is_set():
            await self.writable.wait()
        if self.disconnected or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.write(message["frames"])
