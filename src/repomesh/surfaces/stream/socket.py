"""`WS /v1/ws`: the log over a WebSocket, several subscriptions on one socket."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from repomesh.bus.subscription import SlowConsumer, Subscription
from repomesh.kernel import limits
from repomesh.kernel.errors import Conflict, Failure, NotFound, RepomeshError, TooLarge, Unauthenticated
from repomesh.kernel.identity import Caller, RequestContext
from repomesh.kernel.telemetry import trace_id_of
from repomesh.store.filters import EventFilter
from repomesh.store.log import StoredEvent
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi import Message, Receive, Scope, Send, header
from repomesh.surfaces.stream.connections import Connection, Connections, Stopping
from repomesh.surfaces.stream.frames import (
    Auth,
    ClientFrame,
    Ping,
    Pong,
    Resume,
    Subscribe,
    Unsubscribe,
    client_frame,
    error_frame,
    event_frame_start,
    server_frame,
    subscription_of,
)
from repomesh.surfaces.stream.wire import FRAMES, takes_frames, text_frame

_SLOW = 4008
_RESTARTING, _LATER, _FAILED = 1012, 1013, 1011  # as RFC 6455's registry names them
_CLOSE_CODES = {
    Failure.UNAUTHENTICATED: 4401,
    Failure.INVALID: 4401,  # of the first frame, which was to authenticate
    Failure.TOO_LARGE: 4401,
    Failure.FORBIDDEN: 4403,
    Failure.NOT_FOUND: 4403,  # of the agent to act as
    Failure.CONFLICT: 4403,
    Failure.UNAVAILABLE: _LATER,
}


class SubscriptionTaken(Conflict):
    """A subscription of this socket has the name already."""

    code = "subscription_taken"
    hint = "Choose another id, or send unsubscribe or resume for the one that there is."


class TooManySubscriptions(Conflict):
    """A socket carries a bounded number of subscriptions."""

    code = "too_many_subscriptions"
    hint = "Unsubscribe one, ask for several types in one subscription, or open another socket."


class SubscriptionNotFound(NotFound):
    """This socket has no subscription of that name."""

    code = "subscription_not_found"
    hint = "Send subscribe first."


class UnexpectedFrame(Conflict):
    """The frame is a valid one, at another time."""

    code = "unexpected_frame"
    hint = "Send auth once and first, and only when the upgrade carried no Authorization header."


class Sockets:
    """The endpoint."""

    def __init__(self, gateway: Gateway, connections: Connections) -> None:
        self._gateway = gateway
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side ends it; the close code says why."""
        await receive()
        socket = Socket(self._gateway, scope, receive, send)
        with suppress(OSError):  # the web server's way to say that nobody is there
            await send({"type": "websocket.accept"})
            try:
                with self._connections.counted(socket):
                    caller = await socket.authenticate()
                    async with self._connections.authorised(socket, caller):
                        await socket.run(caller)
            except RepomeshError as error:
                await socket.refuse(error)


@dataclass(slots=True)
class _Running:
    """A subscription of the socket: what it asks for, and how far the client was sent everything."""

    wanted: EventFilter
    task: asyncio.Task[None]
    position: int | None


class Socket(Connection):
    """One client's socket."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__()
        self._gateway = gateway
        self._scope = scope
        self._receive = receive
        self._send = send
        self._trace_id = trace_id_of(header(scope, b"traceparent"))
        self._running: dict[str, _Running] = {}

    async def authenticate(self) -> Caller:
        """The caller, by the upgrade's headers or else by the first frame."""
        authorization = header(self._scope, b"authorization")
        if authorization is not None:
            agent = header(self._scope, b"x-repomesh-agent")
            return await self._gateway.authenticate(authorization, agent)
        try:
            async with asyncio.timeout(limits.SOCKET_AUTH_S):
                message = await self._receive()
        except TimeoutError:
            raise Unauthenticated(f"no auth frame came within {limits.SOCKET_AUTH_S:.0f} s") from None
        if message["type"] == "websocket.disconnect":
            raise ConnectionResetError
        frame = client_frame(_text(message))
        if not isinstance(frame, Auth):
            raise Unauthenticated("the first frame must be auth, since the upgrade carried no token")
        return await self._gateway.authenticate(f"Bearer {frame.token}", frame.agent)

    async def run(self, caller: Caller) -> None:
        """Serve the client until the end, then close with the reason."""
        await self._tell(
            server_frame(
                "ready", workspace_id=caller.workspace_id, role=caller.role, agent_id=caller.agent_id
            )
        )
        self.start(self._read(caller))
        why = await self.over()
        if why is not None:
            await self._close(why)

    async def refuse(self, error: RepomeshError) -> None:
        """Close a socket that was not let in."""
        await self._tell(error_frame(error, self._trace_id, None))
        await self._close(error)

    # -- what the client sends ---------------------------------------------------------------------

    async def _read(self, caller: Caller) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.end(None)
                return
            text = _text(message)
            self._gateway.dispatch.heard(caller)
            try:
                await self._take(client_frame(text), caller)
            except RepomeshError as error:
                about = None if isinstance(error, TooLarge) else subscription_of(text)
                await self._tell(error_frame(error, self._trace_id, about))

    async def _take(self, frame: ClientFrame, caller: Caller) -> None:
        if isinstance(frame, Ping):
            await self._tell('{"type":"pong"}')
        elif isinstance(frame, Subscribe):
            await self._subscribe(frame, caller)
        elif isinstance(frame, Resume):
            wanted = (await self._stop(frame.id)).wanted
            self._begin(frame.id, wanted, frame.after)
        elif isinstance(frame, Unsubscribe):
            await self._stop(frame.id)
            await self._tell(server_frame("unsubscribed", subscription=frame.id))
        elif not isinstance(frame, Pong):
            raise UnexpectedFrame("this socket is authenticated already")

    async def _subscribe(self, frame: Subscribe, caller: Caller) -> None:
        if frame.id in self._running:
            raise SubscriptionTaken(f"this socket has a subscription '{frame.id}' already")
        if len(self._running) >= limits.SOCKET_SUBSCRIPTIONS_MAX:
            raise TooManySubscriptions(f"this socket has {limits.SOCKET_SUBSCRIPTIONS_MAX} subscriptions")
        operation = self._gateway.registry["event.stream"]
        context = RequestContext(trace_id=self._trace_id)
        answer = await self._gateway.dispatch(operation, caller, frame.request(), context)
        self._begin(frame.id, cast(EventFilter, answer.result), frame.after)

    def _begin(self, id_: str, wanted: EventFilter, after: int | None) -> None:
        task = self.start(self._push(id_, wanted, after))
        self._running[id_] = _Running(wanted, task, after)

    async def _stop(self, id_: str) -> _Running:
        running = self._running.pop(id_, None)
        if running is None:
            raise SubscriptionNotFound(f"this socket has no subscription '{id_}'")
        running.task.cancel()
        await asyncio.wait([running.task])
        return running

    # -- what the client gets ----------------------------------------------------------------------

    async def _push(self, id_: str, wanted: EventFilter, after: int | None) -> None:
        """One subscription, until it is stopped; what goes wrong with it alone does not end the socket."""
        try:
            async with self._gateway.tails.subscribe(wanted, after) as subscription:
                self._running[id_].position = subscription.position
                subscription.on_failure = self._failed
                await self._tell(server_frame("subscribed", subscription=id_, position=subscription.position))
                await self._pump(id_, subscription)
        except SlowConsumer:
            raise
        except RepomeshError as error:
            self._running.pop(id_, None)
            await self._tell(error_frame(error, self._trace_id, id_))

    async def _pump(self, id_: str, subscription: Subscription) -> None:
        running = self._running[id_]
        start = event_frame_start(id_)
        push = self._push_frames if takes_frames(self._scope) else self._push_texts
        while True:
            events = await subscription.next(limits.STREAM_POSITION_EVERY_S)
            if events:
                await push(start, events, running)
            else:
                running.position = subscription.position
                await self._tell(server_frame("position", subscription=id_, seq=running.position))

    async def _push_texts(self, start: str, events: list[StoredEvent], running: _Running) -> None:
        for event in events:
            await self._tell(f"{start}{event.json}}}")
            running.position = event.seq

    async def _push_frames(self, start: str, events: list[StoredEvent], running: _Running) -> None:
        frames, size = [], 0
        for event in events:
            frame = text_frame(f"{start}{event.json}}}".encode())
            frames.append(frame)
            size += len(frame)
            if size >= limits.STREAM_WRITE_BYTES or event is events[-1]:
                await self._send({"type": FRAMES, "frames": b"".join(frames)})
                running.position = event.seq
                frames, size = [], 0

    async def _tell(self, frame: str) -> None:
        await self._send({"type": "websocket.send", "text": frame})

    # -- the end -----------------------------------------------------------------------------------

    def _failed(self, error: RepomeshError) -> None:
        """A subscription can't go on, and its task may hang in a client that does not read."""
        if isinstance(error, SlowConsumer):
            places = [running.position for running in self._running.values() if running.position is not None]
            error = SlowConsumer(error.message, resume_after=min(places))
            self.end(error)

    async def _close(self, why: RepomeshError) -> None:
        """Close with the reason, in case that the client still reads."""
        if isinstance(why, SlowConsumer):
            code, reason = _SLOW, f"resume_after={why.details['resume_after']}"
        elif isinstance(why, Stopping):
            code, reason = _RESTARTING, why.code
        else:
            code, reason = _CLOSE_CODES.get(why.failure, _FAILED), why.code
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(limits.STREAM_CLOSE_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _text(message: Message) -> str:
    """The text of a client's frame; bytes are taken for UTF-8."""
    text = message.get("text")
    if isinstance(text, str):
        return text
    content = message.get("bytes")
    return content.decode(errors="replace") if isinstance(content, bytes) else ""
