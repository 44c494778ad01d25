"""The common base of event streams and sockets: counts the open ones, and ends each once and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog

from repomesh.domains.agents.authentication import verify
from repomesh.kernel import limits
from repomesh.kernel.computing import PlacesPerCaller
from repomesh.kernel.errors import InternalError, RepomeshError, TokenRevoked, Unavailable
from repomesh.kernel.identity import Caller
from repomesh.surfaces.gateway import Gateway

log = structlog.get_logger("repomesh.stream")


class TooManyStreams(Unavailable):
    """The server pushes to as many streams and sockets as it can."""

    code = "too_many_streams"
    hint = "Close unused streams, or retry later; one WebSocket takes several 'subscribe' frames."


class ServerStopping(Unavailable):
    """The server stops, or restarts."""

    code = "server_stopping"
    hint = "Connect again in a moment with 'after' set to the last event that you received; nothing is lost."


class Connection:
    """One open stream or socket. The first call of `end` decides why it ends."""

    def __init__(self) -> None:
        self._end_reason: asyncio.Future[RepomeshError | None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, error: RepomeshError | None) -> None:
        """End with the error that is reported to the client, or with None because the client is gone."""
        if not self._end_reason.done():
            self._end_reason.set_result(error)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task until the connection ends. If it fails, the connection ends with its error."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._handle_task_end)
        return task

    async def wait_for_end(self) -> RepomeshError | None:
        """Wait for the end and cancel the tasks. Returns the error, None when the client is gone."""
        try:
            return await self._end_reason
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _handle_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, RepomeshError):
            self.end(error)
        elif isinstance(error, OSError):  # the web server raises it when the client is gone
            self.end(None)
        elif error is not None:
            log.error("stream failed", exc_info=error)
            self.end(InternalError("the stream failed inside the server"))


class Connections:
    """The open streams and sockets of this process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open: set[Connection] = set()
        self._places: PlacesPerCaller[str] = PlacesPerCaller(
            limits.STREAMS_PER_CALLER_MAX,
            lambda count: TooManyStreams(f"{count} streams and sockets of yours are open"),
        )
        self._stopping = False

    @contextmanager
    def reserve_place(self, connection: Connection, caller: Caller) -> Iterator[None]:
        """Count the connection as open inside the block; raises TooManyStreams or ServerStopping."""
        if self._stopping:
            raise ServerStopping("the server is stopping")
        if len(self._open) >= limits.STREAM_SUBSCRIBERS_MAX:
            raise TooManyStreams(f"{limits.STREAM_SUBSCRIBERS_MAX} streams and sockets are open")
        with self._places.place(caller.actor_id):
            self._open.add(connection)
            self._gateway.metrics.subscribers.inc()
            try:
                yield
            finally:
                self._open.discard(connection)
                self._gateway.metrics.subscribers.dec()

    @asynccontextmanager
    async def end_on_revocation(self, connection: Connection, caller: Caller) -> AsyncIterator[None]:
        """End the connection inside the block once the caller's token is revoked; raises TokenRevoked."""

        def end_revoked() -> None:
            connection.end(TokenRevoked("the token was revoked"))

        async with self._gateway.revocations.watch(caller, end_revoked):
            # It may have been revoked between authentication and the start of the watch.
            await self._gateway.store.read(caller, verify)
            yield

    def interrupt(self) -> None:
        """End all connections, since the server stops, and refuse new ones."""
        self._stopping = True
        for connection in tuple(self._open):
            connection.end(ServerStopping("the server is stopping"))
