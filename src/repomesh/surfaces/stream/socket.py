"""The common base of WebSockets: authentication, reading frames one by one, and the close codes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar

from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, Failure, RepomeshError, Unauthenticated
from repomesh.kernel.identity import Caller
from repomesh.kernel.json_text import run_off_loop_if_large
from repomesh.kernel.telemetry import trace_id_of
from repomesh.store.subscription import SlowConsumer
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Message, Receive, Scope, Send, header
from repomesh.surfaces.http.authentication import agent_from_header, authenticate
from repomesh.surfaces.stream.connections import Connection, Connections, ServerStopping
from repomesh.surfaces.stream.frames import Auth, Frames, Ping, Pong, error_frame

_CLOSE_SLOW = 4008
_CLOSE_POLICY = 1008
_CLOSE_RESTARTING, _CLOSE_LATER, _CLOSE_FAILED = 1012, 1013, 1011  # as RFC 6455's registry names them


class UnexpectedFrame(Conflict):
    """The frame is valid, but not at this point."""

    code = "unexpected_frame"
    hint = "Send 'auth' once, as the first frame, and only if the upgrade had no Authorization header."


class TooManyRefusedFrames(RepomeshError):
    """The client sent too many invalid frames in a row."""

    code = "too_many_refused_frames"
    failure = Failure.RATE_LIMITED
    hint = "Each frame of the 'type' error names what was wrong. Correct the client, then connect again."


class Sockets:
    """The endpoint of one kind of socket."""

    def __init__(
        self,
        gateway: Gateway,
        connections: Connections,
        kind: Callable[[Gateway, Scope, Receive, Send], Socket],
    ) -> None:
        self._gateway = gateway
        self._connections = connections
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side ends it; the close code says why."""
        await receive()
        socket = self._kind(self._gateway, scope, receive, send)
        with suppress(OSError):  # the web server raises it when the client is gone
            try:
                caller = await socket.authenticate()
                with self._connections.reserve_place(socket, caller):
                    async with self._connections.end_on_revocation(socket, caller):
                        await socket.run(caller)
            except RepomeshError as error:
                await socket.refuse(error)


class Socket(Connection):
    """One client's socket."""

    frames: ClassVar[Frames]
    """The frames that the client may send."""
    close_codes: ClassVar[Mapping[Failure, int]] = MappingProxyType(
        {
            Failure.UNAUTHENTICATED: 4401,
            Failure.INVALID: 4401,  # of the first frame, which was to authenticate
            Failure.TOO_LARGE: 4401,
            Failure.FORBIDDEN: 4403,
            Failure.NOT_FOUND: 4403,  # of the agent to act as
            Failure.CONFLICT: 4403,
            Failure.UNAVAILABLE: _CLOSE_LATER,
        }
    )

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__()
        self._gateway = gateway
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trace_id = trace_id_of(header(scope, b"traceparent"))
        self._is_open = False

    async def authenticate(self) -> Caller:
        """Authenticate the caller by the upgrade's headers, or else by the first frame.

        Headers are checked before the socket opens, so that its first frames may be of full size. Raises
        Unauthenticated, Forbidden, InvalidRequest, or ConnectionResetError when the client is gone.
        """
        authorization = header(self._scope, b"authorization")
        if authorization is None:
            await self._open()
            return await self._authenticate_by_frame()
        caller = await self._identify(authorization, agent_from_header(self._scope))
        await self._open()
        return caller

    async def _open(self) -> None:
        self._is_open = True
        await self._send({"type": "websocket.accept"})

    async def _authenticate_by_frame(self) -> Caller:
        try:
            async with asyncio.timeout(limits.SOCKET_AUTH_S):
                message = await self._receive()
        except TimeoutError:
            raise Unauthenticated(f"no auth frame came within {limits.SOCKET_AUTH_S:.0f} s") from None
        if message["type"] == "websocket.disconnect":
            raise ConnectionResetError
        text = _text(message)
        frame = await run_off_loop_if_large(len(text), self.frames.read, text)
        if not isinstance(frame, Auth):
            raise Unauthenticated("the first frame must be auth, since the upgrade carried no token")
        return await self._identify(f"Bearer {frame.token}", frame.agent)

    async def run(self, caller: Caller) -> None:
        """Serve the client until the end, then close with the reason."""
        raise NotImplementedError

    async def refuse(self, error: RepomeshError) -> None:
        """Close a socket that was refused; it is opened first, or no browser would show the reason."""
        if not self._is_open:
            await self._open()
        await self._send_frame(error_frame(error, self._trace_id))
        await self._close(error)

    # -- implemented by each kind of socket --------------------------------------------------------

    async def _identify(self, authorization: str, agent: str | None) -> Caller:
        bytes_max = self.frames.bytes_max
        return await authenticate(self._gateway, self._scope, agent, authorization, bytes_max)

    async def _handle_frame(self, frame: Any, caller: Caller) -> None:
        """Handle a frame of this kind of socket; raises RepomeshError."""
        raise NotImplementedError

    def _refusal_frame(self, error: RepomeshError, text: str) -> str:
        """The error frame for a client's frame with this text."""
        raise NotImplementedError

    def _delivered_position(self) -> int:
        """The position in the log up to which the client was sent everything."""
        raise NotImplementedError

    # -- common to all sockets ---------------------------------------------------------------------

    async def _serve(self, caller: Caller) -> None:
        """Handle the client's frames until the end, then close with the reason."""
        self.start(self._read(caller))
        error = await self.wait_for_end()
        if error is not None:
            await self._close(error)

    async def _read(self, caller: Caller) -> None:
        refused_frames = 0
        while True:
            message = await self._receive()
            await asyncio.sleep(0)  # many frames come at once; others are served between two of them
            if message["type"] == "websocket.disconnect":
                self.end(None)
                return
            text = _text(message)
            self._gateway.dispatch.notify_called(caller)
            try:
                frame = await run_off_loop_if_large(len(text), self.frames.read, text)
                if isinstance(frame, Ping):
                    await self._send_frame('{"type":"pong"}')
                elif isinstance(frame, Auth):
                    raise UnexpectedFrame("this socket is authenticated already")
                elif not isinstance(frame, Pong):
                    await self._handle_frame(frame, caller)
            except RepomeshError as error:
                refused_frames += 1
                if refused_frames > limits.SOCKET_REFUSED_FRAMES_MAX:
                    self.end(TooManyRefusedFrames(f"{refused_frames} frames of this socket were refused"))
                    return
                await self._send_frame(self._refusal_frame(error, text))

    async def _send_frame(self, frame: str) -> None:
        await self._send({"type": "websocket.send", "text": frame})

    def _handle_failure(self, error: RepomeshError) -> None:
        """End a socket whose subscription failed: its task may hang in a client that does not read."""
        if isinstance(error, SlowConsumer):
            self.end(SlowConsumer(error.message, resume_after=self._delivered_position()))

    async def _close(self, error: RepomeshError) -> None:
        """Close with the code and reason of `error`, waiting `STREAM_CLOSE_S` at most."""
        if isinstance(error, SlowConsumer):
            code, reason = _CLOSE_SLOW, f"resume_after={error.details['resume_after']}"
        elif isinstance(error, ServerStopping):
            code, reason = _CLOSE_RESTARTING, error.code
        elif isinstance(error, TooManyRefusedFrames):
            code, reason = _CLOSE_POLICY, error.code
        else:
            code, reason = self.close_codes.get(error.failure, _CLOSE_FAILED), error.code
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(limits.STREAM_CLOSE_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _text(message: Message) -> str:
    """The text of a client's frame; bytes are decoded as UTF-8."""
    text = message.get("text")
    if isinstance(text, str):
        return text
    content = message.get("bytes")
    return content.decode(errors="replace") if isinstance(content, bytes) else ""
