"""`GET /v1/meetings/{meeting_id}/replay/stream`: a meeting's events again, at a chosen speed.

The pauses between events are the original ones, divided by the speed. The `id:` of an event is its number in
the log, from which a client that reconnects goes on. `end` follows the last event.
"""

from __future__ import annotations

import asyncio
import time

import orjson

from repomesh.domains.meetings.minutes.models import ReplayedEvent, StreamReplay
from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.identity import Caller
from repomesh.kernel.operation import Kind
from repomesh.surfaces.http.asgi_messages import Scope
from repomesh.surfaces.http.routes import request_context
from repomesh.surfaces.stream.sse import SseConnection, SseEndpoint, frame


class Replays(SseEndpoint):
    """The endpoint that replays a meeting as server-sent events."""

    async def _run(self, connection: SseConnection, scope: Scope, caller: Caller) -> None:
        request = self._operation.parse(self._payload(scope))
        assert isinstance(request, StreamReplay)
        context = request_context(scope, Kind.SUBSCRIPTION)

        async def read(after: int | None) -> Page[ReplayedEvent]:
            page_request = request.model_copy(update={"after": after})
            page = (await self._gateway.call(self._operation, caller, page_request, context)).result
            assert isinstance(page, Page)
            return page

        first_page = await read(request.after)  # an error before the stream opens is a problem document

        async def pump() -> None:
            page, began = first_page, time.monotonic()
            offset_s = page.items[0].offset_s if page.items else 0.0
            while page.items:
                for event in page.items:
                    await _pause(connection, began + event.offset_s - offset_s)
                    connection.position = event.seq
                    await connection.write(frame(event.type, event.seq, event.model_dump_json().encode()))
                page = await read(connection.position)
            await connection.finish(frame("end", None, orjson.dumps({"seq": connection.position})))
            connection.end(None)

        await connection.serve(pump())


async def _pause(connection: SseConnection, until: float) -> None:
    """Wait until `until` of the monotonic clock, with `position` frames that keep proxies from closing."""
    while (remaining_s := until - time.monotonic()) > 0:
        await asyncio.sleep(min(remaining_s, limits.STREAM_POSITION_EVERY_S))
        if remaining_s > limits.STREAM_POSITION_EVERY_S:
            await connection.write(frame("position", None, orjson.dumps({"seq": connection.position})))
