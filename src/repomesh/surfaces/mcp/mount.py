"""Puts the MCP endpoint into the server without making the server wait for the protocol library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import structlog

from repomesh.kernel.errors import InternalError, Unavailable
from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi import Receive, Scope, Send, header
from repomesh.surfaces.http.problems import send_problem

log = structlog.get_logger("repomesh.mcp")

WARM_UP_AFTER_S: Final = 0.25
"""When the endpoint is built though nobody asked: importing its library takes most of a second."""

Extend = Callable[[Any], None]
"""Given the endpoint's `ToolServer` before it serves, to put more into it."""


class Served(Protocol):
    """What `endpoint.Endpoint` looks like from here."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve while inside."""
        ...

    def cut(self) -> None:
        """End every open call and stream."""
        ...

    async def settled(self) -> None:
        """Wait for what is noted behind answers."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


class Mount:
    """Builds the endpoint in a thread while the server already answers; the first requests wait for it."""

    def __init__(self, gateway: Gateway) -> None:
        self.extensions: list[Extend] = []
        self._gateway = gateway
        self._endpoint: asyncio.Future[Served] | None = None
        self._wanted = asyncio.Event()
        self._stopped = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enter this while the server runs."""
        loop = asyncio.get_running_loop()
        self._wanted, self._stopped = asyncio.Event(), asyncio.Event()
        self._endpoint = loop.create_future()
        warm_up = loop.call_later(WARM_UP_AFTER_S, self._wanted.set)
        task = asyncio.create_task(self._run(self._endpoint), name="mcp")
        try:
            yield
        finally:
            warm_up.cancel()
            self._stopped.set()
            self._wanted.set()
            await task
            self._endpoint = None

    async def endpoint(self) -> Served:
        """The endpoint, built now if nobody asked for it before; raises Unavailable or InternalError."""
        self._wanted.set()
        if self._endpoint is None:
            raise Unavailable("the server is not running")
        return await asyncio.shield(self._endpoint)

    def cut(self) -> None:
        """End every open call and stream: the server is about to stop and must not wait for them."""
        endpoint = self._endpoint
        if endpoint is not None and endpoint.done() and endpoint.exception() is None:
            endpoint.result().cut()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            endpoint = await self.endpoint()
        except (InternalError, Unavailable) as error:
            await send_problem(send, error, trace_id_of(header(scope, b"traceparent")))
            return
        await endpoint(scope, receive, send)

    async def _run(self, endpoint: asyncio.Future[Served]) -> None:
        """One task enters and leaves the endpoint, as its task group demands."""
        await self._wanted.wait()
        if self._stopped.is_set():
            _fail(endpoint, Unavailable("the server is stopping"))
            return
        try:
            built = await asyncio.to_thread(self._build)
        except Exception as error:  # the edge: the rest of the server must go on, and say what this lacks
            log.exception("the MCP endpoint can't be built")
            _fail(endpoint, InternalError(f"the MCP endpoint can't be built: {error!r}"))
            return
        async with built.running():
            endpoint.set_result(built)
            await self._stopped.wait()
            built.cut()

    def _build(self) -> Served:
        # Imported here, in a thread: see WARM_UP_AFTER_S.
        from repomesh.surfaces.mcp.endpoint import Endpoint, ToolServer

        server = ToolServer(self._gateway)
        for extend in self.extensions:
            extend(server)
        return Endpoint(self._gateway, server)


def _fail(endpoint: asyncio.Future[Served], error: Exception) -> None:
    endpoint.set_exception(error)
    endpoint.exception()  # seen here; each request raises it again
