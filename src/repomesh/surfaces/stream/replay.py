"""`GET /v1/meetings/{meeting_id}/replay/stream`: a meeting's events again, at a chosen speed.

Each comes after as long as it once took, divided by the speed; its `id:` is its number in the log, behind
which a client that comes back goes on. `end` follows the last.
"""

from __future__ import annotations

import asyncio
import time

import orjson

from repomesh.domains.meetings.minutes_models import ReplayedEvent, StreamReplay
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Caller
from repomesh.kernel.operation import Kind
from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi import Receive, Scope, Send, header
from repomesh.surfaces.http.problems import send_problem
from repomesh.surfaces.http.routes import query_values, refuse_method, request_context
from repomesh.surfaces.stream.connections import Connections
from repomesh.surfaces.stream.sse import SentEvents, frame


class Replays:
    """The endpoint."""

    def __init__(self, gateway: Gateway, connections: Connections) -> None:
        self._gateway = gateway
        self._connections = connections
        self._operation = gateway.registry["meeting.replay_stream"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay until the end, or until the client leaves; a refusal is a problem document."""
        trace_id = trace_id_of(header(scope, b"traceparent"))
        if scope["method"] != "GET":
            await refuse_method(scope, send, ["GET"], trace_id)
            return
        line = SentEvents(receive, send, trace_id)
        try:
            with self._connections.counted(line):
                caller = await self._gateway.authenticate(
                    header(scope, b"authorization"), header(scope, b"x-repomesh-agent")
                )
                async with self._connections.authorised(line, caller):
                    await self._run(line, scope, caller)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)

    async def _run(self, line: SentEvents, scope: Scope, caller: Caller) -> None:
        values = query_values(scope, frozenset()) | scope["path_params"]
        last_event_id = header(scope, b"last-event-id")
        if last_event_id:
            values["after"] = last_event_id
        request = self._operation.parse(values)
        assert isinstance(request, StreamReplay)
        context = request_context(scope, Kind.SUBSCRIPTION)

        async def read(after: int | None) -> Page[ReplayedEvent]:
            asked = request.model_copy(update={"after": after})
            page = (await self._gateway.dispatch(self._operation, caller, asked, context)).result
            assert isinstance(page, Page)
            return page

        first = await read(request.after)  # a refusal is said before the line is open

        async def pump() -> None:
            page, began = first, time.monotonic()
            offset_s = page.items[0].offset_s if page.items else 0.0
            while page.items:
                for event in page.items:
                    await _pause(line, began + event.offset_s - offset_s)
                    line.position = event.seq
                    await line.write(frame(event.type, event.seq, event.model_dump_json().encode()))
                page = await read(line.position)
            await line.finish(frame("end", None, orjson.dumps({"seq": line.position})))
            line.end(None)

        await line.serve(pump())


async def _pause(line: SentEvents, until: float) -> None:
    """Wait, with a sign of life now and then so that nothing in between takes the line for dead."""
    while (left_s := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left_s, limits.STREAM_POSITION_EVERY_S))
        if left_s > limits.STREAM_POSITION_EVERY_S:
            await line.write(frame("position", None, orjson.dumps({"seq": line.position})))
