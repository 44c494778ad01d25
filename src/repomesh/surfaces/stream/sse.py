"""`GET /v1/stream`: the log as server-sent events.

Each event's `id:` is its number in the log, so that a client that reconnects with Last-Event-ID goes on
where it stopped. `position` advances that number where nothing matched; `closed` carries the reason.
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
from repomesh.surfaces.http.authentication import agent_from_header, authenticate
from repomesh.surfaces.http.problems import problem, send_problem
from repomesh.surfaces.http.routes import list_fields, query_values, refuse_method, request_context
from repomesh.surfaces.stream.connections import Connection, Connections

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # asks proxies to pass each event on at once
]
_RETRY = b"retry: 1000\n\n"  # milliseconds after which a browser reconnects


class SseEndpoint:
    """An endpoint that answers one operation with server-sent events."""

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
        connection = SseConnection(receive, send, trace_id)
        try:
            caller = await authenticate(self._gateway, scope, agent_from_header(scope))
            with self._connections.reserve_place(connection, caller):
                async with self._connections.end_on_revocation(connection, caller):
                    await self._run(connection, scope, caller)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)

    async def _run(self, connection: SseConnection, scope: Scope, caller: Caller) -> None:
        """Send events on `connection`; an error raised before it is open becomes a problem document."""
        raise NotImplementedError

    def _payload(self, scope: Scope) -> dict[str, Any]:
        """The query and path as a payload; the header Last-Event-ID overrides `after`."""
        values: dict[str, Any] = query_values(scope, self._lists) | scope.get("path_params", {})
        last_event_id = header(scope, b"last-event-id")
        return values | {"after": last_event_id} if last_event_id else values


class EventStreams(SseEndpoint):
    """The endpoint that streams the log."""

    async def _run(self, connection: SseConnection, scope: Scope, caller: Caller) -> None:
        request = self._operation.parse(self._payload(scope))
        assert isinstance(request, StreamEvents)
        context = request_context(scope, Kind.SUBSCRIPTION)
        answer = await self._gateway.call(self._operation, caller, request, context)
        event_filter = cast(EventFilter, answer.result)
        tails = self._gateway.tails
        async with tails.subscribe(event_filter, request.after, caller.actor_id) as subscription:
            await LogStream(connection).run(subscription)


class SseConnection(Connection):
    """One client's stream of server-sent events. `position` is the number of the last event sent."""

    def __init__(self, receive: Receive, send: Send, trace_id: str) -> None:
        super().__init__()
        self._receive = receive
        self._send = send
        self._trace_id = trace_id
        self.position = 0

    async def serve(self, pump: Coroutine[Any, Any, None]) -> None:
        """Open the response and run `pump`, which writes the frames, until the end; then send the reason."""
        self.start(self._wait_for_disconnect())
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        self.start(pump)
        error = await self.wait_for_end()
        if error is not None:
            await self._close(error)

    async def write(self, frames: bytes) -> None:
        """Send frames."""
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})

    async def finish(self, frames: bytes) -> None:
        """Send the last frames and end the response."""
        await self._send({"type": "http.response.body", "body": frames})

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end(None)

    async def _close(self, error: RepomeshError) -> None:
        """Send `closed` with the error, waiting `STREAM_CLOSE_S` at most."""
        data = {"resume_after": self.position} | problem(error, self._trace_id)
        try:
            async with asyncio.timeout(limits.STREAM_CLOSE_S):
                await self.finish(frame("closed", None, orjson.dumps(data)))
        except TimeoutError:
            return  # the client does not read; the web server closes the connection


class LogStream:
    """Sends the events of a subscription to one client."""

    def __init__(self, connection: SseConnection) -> None:
        self._connection = connection

    async def run(self, subscription: Subscription) -> None:
        """Send events until the end, then the reason."""
        self._connection.position = subscription.position
        subscription.on_failure = self._handle_failure
        await self._connection.serve(self._pump(subscription))

    def _handle_failure(self, error: RepomeshError) -> None:
        if isinstance(error, SlowConsumer):
            error = SlowConsumer(error.message, resume_after=self._connection.position)
        self._connection.end(error)

    async def _pump(self, subscription: Subscription) -> None:
        await self._send_position(_RETRY)
        while True:
            events = await subscription.next(limits.STREAM_POSITION_EVERY_S)
            for position, chunk in _chunks(events):
                await self._connection.write(chunk)
                self._connection.position = position
            if not events:
                self._connection.position = subscription.position
                await self._send_position()

    async def _send_position(self, prefix: bytes = b"") -> None:
        position = self._connection.position
        await self._connection.write(prefix + frame("position", position, b'{"seq":%d}' % position))


def _chunks(events: Iterable[StoredEvent]) -> Iterator[tuple[int, bytes]]:
    """Group the frames of events into chunks of bounded size, each with the number of its last event."""
    frames: list[bytes] = []
    size = seq = 0
    for event in events:
        event_frame = frame(event.type, event.seq, event.json.encode())
        if frames and size + len(event_frame) > limits.STREAM_CHUNK_CHARS:
            yield seq, b"".join(frames)
            frames, size = [], 0
        frames.append(event_frame)
        size += len(event_frame)
        seq = event.seq
    if frames:
        yield seq, b"".join(frames)


def frame(type_: str, seq: int | None, data: bytes) -> bytes:
    """One server-sent event, with `seq` as its id unless None."""
    id_ = b"" if seq is None else b"id: %d\n" % seq
    return b"%sevent: %s\ndata: %s\n\n" % (id_, type_.encode(), data)
