"""What event streams and sockets have in common: they are counted, they end once, and they end in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog

from repomesh.domains.workspaces import tokens
from repomesh.kernel import limits
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
    """One open stream or socket. Whatever ends it first is its end."""

    def __init__(self) -> None:
        self._over: asyncio.Future[RepomeshError | None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    def end(self, why: RepomeshError | None) -> None:
        """End it for a reason, which its client is told, or because the client is gone."""
        if not self._over.done():
            self._over.set_result(why)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do `work` beside the rest, until it or the connection ends. Its failure is the connection's end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def over(self) -> RepomeshError | None:
        """Wait for the end; then nothing runs any more. Answers the reason, None when the client is gone."""
        try:
            return await self._over
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, RepomeshError):
            self.end(error)
        elif isinstance(error, OSError):  # the web server's way to say that nobody is there
            self.end(None)
        elif error is not None:
            log.error("stream failed", exc_info=error)
            self.end(InternalError("the stream failed inside the server"))


class Connections:
    """The open streams and sockets of this process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open: set[Connection] = set()
        self._stopping = False

    @contextmanager
    def counted(self, connection: Connection) -> Iterator[None]:
        """Inside, the connection is one of those open; raises TooManyStreams."""
        if self._stopping:
            raise ServerStopping("the server is stopping")
        if len(self._open) >= limits.STREAM_SUBSCRIBERS_MAX:
            raise TooManyStreams(f"{limits.STREAM_SUBSCRIBERS_MAX} streams and sockets are open")
        self._open.add(connection)
        self._gateway.metrics.subscribers.inc()
        try:
            yield
        finally:
            self._open.discard(connection)
            self._gateway.metrics.subscribers.dec()

    @asynccontextmanager
    async def authorised(self, connection: Connection, caller: Caller) -> AsyncIterator[None]:
        """Inside, the connection ends as soon as the caller's token is revoked."""

        def cut() -> None:
            connection.end(TokenRevoked("the token was revoked"))

        async with self._gateway.revocations.watching(caller, cut):
            # It may have been revoked after it was looked up and before anybody watched.
            await self._gateway.store.read(caller, tokens.verify)
            yield

    def interrupt(self) -> None:
        """End all, since the server stops."""
        self._stopping = True
        for connection in tuple(self._open):
            connection.end(ServerStopping("the server is stopping"))
