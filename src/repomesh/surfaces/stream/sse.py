"""`GET /v1/stream`: the log as server-sent events.

Each event's `id:` is its number in the log, so that a client that comes back with Last-Event-ID goes on
where it stopped. `position` moves that number on where nothing matched; `closed` says why it ends.
Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, cast

import orjson

from repomesh.domains.messaging.events.models import StreamEvents
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import Caller
from repomesh.kernel.operation import Kind
from repomesh.kernel.telemetry import trace_id_of
from repomesh.store.filters import EventFilter
from repomesh.store.log import StoredEvent
from repomesh.store.subscription import SlowConsumer, Subscription
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send, header
from repomesh.surfaces.http.authentication import authenticate, named_agent
from repomesh.surfaces.http.problems import problem, send_problem
from repomesh.surfaces.http.routes import list_fields, query_values, refuse_method, request_context
from repomesh.surfaces.stream.connections import Connection, Connections

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # asks proxies to pass each event on at once
]
_RETRY = b"retry: 1000\n\n"  # milliseconds after which a browser comes back


class SseEndpoint:
    """What answers one operation with server-sent events."""

    def __init__(self, gateway: Gateway, connections: Connections, operation: str) -> None:
        self._gateway = gateway
        self._connections = connections
        self._operation = gateway.registry[operation]
        self._lists = list_fields(self._operation.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the end, or until the client leaves; a refusal is a problem document."""
        trace_id = trace_id_of(header(scope, b"traceparent"))
        if scope["method"] != "GET":
            await refuse_method(scope, send, ["GET"], trace_id)
            return
        line = SseConnection(receive, send, trace_id)
        try:
            caller = await authenticate(self._gateway, scope, named_agent(scope))
            with self._connections.counted(line):
                async with self._connections.authorised(line, caller):
                    await self._run(line, scope, caller)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)

    async def _run(self, line: SseConnection, scope: Scope, caller: Caller) -> None:
        """Answer on `line`; what is raised before it is open is a problem document."""
        raise NotImplementedError

    def _payload(self, scope: Scope) -> dict[str, Any]:
        """The query; what the client says that it saw last counts more than where it once began."""
        values: dict[str, Any] = query_values(scope, self._lists) | scope.get("path_params", {})
        last_event_id = header(scope, b"last-event-id")
        return values | {"after": last_event_id} if last_event_id else values


class EventStreams(SseEndpoint):
    """The log's endpoint."""

    async def _run(self, line: SseConnection, scope: Scope, caller: Caller) -> None:
        request = self._operation.parse(self._payload(scope))
        assert isinstance(request, StreamEvents)
        context = request_context(scope, Kind.SUBSCRIPTION)
        answer = await self._gateway.call(self._operation, caller, request, context)
        wanted = cast(EventFilter, answer.result)
        async with self._gateway.tails.subscribe(wanted, request.after) as subscription:
            await LogStream(line).run(subscription)


class SseConnection(Connection):
    """One client's line of server-sent events. `position` is the number of the last event on it."""

    def __init__(self, receive: Receive, send: Send, trace_id: str) -> None:
        super().__init__()
        self._receive = receive
        self._send = send
        self._trace_id = trace_id
        self.position = 0

    async def serve(self, pump: Coroutine[Any, Any, None]) -> None:
        """Send what `pump` writes until the end, then the reason."""
        self.start(self._wait_for_leaving())
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        self.start(pump)
        why = await self.over()
        if why is not None:
            await self._close(why)

    async def write(self, frames: bytes) -> None:
        """Send frames."""
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})

    async def finish(self, frames: bytes) -> None:
        """Send the last frames; the client may go."""
        await self._send({"type": "http.response.body", "body": frames})

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end(None)

    async def _close(self, why: RepomeshError) -> None:
        """Say why, in case that the client still reads."""
        told = {"resume_after": self.position} | problem(why, self._trace_id)
        try:
            async with asyncio.timeout(limits.STREAM_CLOSE_S):
                await self.finish(frame("closed", None, orjson.dumps(told)))
        except TimeoutError:
            return  # it does not read; the web server cuts the line


class LogStream:
    """The log on one client's line."""

    def __init__(self, line: SseConnection) -> None:
        self._line = line

    async def run(self, subscription: Subscription) -> None:
        """Send what comes until the end, then the reason."""
        self._line.position = subscription.position
        subscription.on_failure = self._failed
        await self._line.serve(self._pump(subscription))

    def _failed(self, error: RepomeshError) -> None:
        if isinstance(error, SlowConsumer):
            error = SlowConsumer(error.message, resume_after=self._line.position)
        self._line.end(error)

    async def _pump(self, subscription: Subscription) -> None:
        await self._send_position(_RETRY)
        while True:
            events = await subscription.next(limits.STREAM_POSITION_EVERY_S)
            for position, chunk in _chunks(events):
                await self._line.write(chunk)
                self._line.position = position
            if not events:
                self._line.position = subscription.position
                await self._send_position()

    async def _send_position(self, before: bytes = b"") -> None:
        position = self._line.position
        await self._line.write(before + frame("position", position, b'{"seq":%d}' % position))


def _chunks(events: Iterable[StoredEvent]) -> Iterator[tuple[int, bytes]]:
    """The frames of events, several in one piece of a bounded size, each with the number it reaches to."""
    frames: list[bytes] = []
    size = seq = 0
    for event in events:
        one = frame(event.type, event.seq, event.json.encode())
        if frames and size + len(one) > limits.STREAM_CHUNK_CHARS:
            yield seq, b"".join(frames)
            frames, size = [], 0
        frames.append(one)
        size += len(one)
        seq = event.seq
    if frames:
        yield seq, b"".join(frames)


def frame(type_: str, seq: int | None, data: bytes) -> bytes:
    """One event on the line."""
    id_ = b"" if seq is None else b"id: %d\n" % seq
    return b"%sevent: %s\ndata: %s\n\n" % (id_, type_.encode(), data)
