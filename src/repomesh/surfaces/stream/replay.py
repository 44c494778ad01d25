"""`GET /v1/meetings/{meeting_id}/replay/stream`: a meeting's events again, at a chosen speed.

Each comes after as long as it once took, divided by the speed; its `id:` is its number in the log, behind
which a client that comes back goes on. `end` follows the last.
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
    """The endpoint."""

    async def _run(self, line: SseConnection, scope: Scope, caller: Caller) -> None:
        request = self._operation.parse(self._payload(scope))
        assert isinstance(request, StreamReplay)
        context = request_context(scope, Kind.SUBSCRIPTION)

        async def read(after: int | None) -> Page[ReplayedEvent]:
            asked = request.model_copy(update={"after": after})
            page = (await self._gateway.call(self._operation, caller, asked, context)).result
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


async def _pause(line: SseConnection, until: float) -> None:
    """Wait, with a sign of life now and then so that nothing in between takes the line for dead."""
    while (left_s := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left_s, limits.STREAM_POSITION_EVERY_S))
        if left_s > limits.STREAM_POSITION_EVERY_S:
            await line.write(frame("position", None, orjson.dumps({"seq": line.position})))
