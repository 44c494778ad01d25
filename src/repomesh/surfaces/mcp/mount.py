"""Mounts the MCP endpoint without making the server wait for the import of the protocol library.

An endpoint that can't be built, or that ends, is built again until it serves: a lack of open files at the
moment of the import must not cost the agents their tools until the server is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol

import structlog

from repomesh.kernel.errors import InternalError, Unavailable
from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send, header
from repomesh.surfaces.http.problems import send_problem

log = structlog.get_logger("repomesh.mcp")

WARM_UP_AFTER_S: Final = 0.25
"""After this time the endpoint is built without a request: importing its library takes most of a second."""

REBUILD_AFTER_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The pauses between attempts to build an endpoint that failed; the last one repeats."""

Extend = Callable[[Any], None]
"""Called with the endpoint's `ToolServer` before it serves, to extend it."""


class McpApplication(Protocol):
    """The interface of `endpoint.McpEndpoint`, whose module is imported late."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve inside the block."""
        ...

    def cut(self) -> None:
        """End every open call and stream."""
        ...

    async def settled(self) -> None:
        """Wait for the notes that are written after answers."""
        ...

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        ...


class Mount:
    """Builds the endpoint in a thread while the server already answers; the first requests wait for it."""

    def __init__(self, gateway: Gateway) -> None:
        self.extensions: list[Extend] = []
        self._gateway = gateway
        self._endpoint: asyncio.Future[McpApplication] | None = None
        self._failure: str | None = None
        self._failures = 0
        self._requested = asyncio.Event()
        self._stopped = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Enter this while the server runs."""
        loop = asyncio.get_running_loop()
        self._requested, self._stopped = asyncio.Event(), asyncio.Event()
        self._endpoint = loop.create_future()
        warm_up = loop.call_later(WARM_UP_AFTER_S, self._requested.set)
        self._failure = None
        task = asyncio.create_task(self._run(), name="mcp")
        try:
            yield
        finally:
            warm_up.cancel()
            self._stopped.set()
            self._requested.set()
            await task
            self._endpoint = None

    async def endpoint(self) -> McpApplication:
        """Wait for the endpoint, which the first request builds; raises Unavailable."""
        self._requested.set()
        if self._endpoint is None:
            raise Unavailable("the server is not running")
        return await asyncio.shield(self._endpoint)

    def failure(self) -> str | None:
        """Why the endpoint does not serve; None when it does, or was not requested yet."""
        return self._failure

    def cut(self) -> None:
        """End every open call and stream: the server is about to stop and must not wait for them."""
        endpoint = self._endpoint
        if endpoint is not None and endpoint.done() and endpoint.exception() is None:
            endpoint.result().cut()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request: by the endpoint directly, once it serves."""
        endpoint = self._endpoint
        if endpoint is not None and endpoint.done() and endpoint.exception() is None:
            return endpoint.result()(scope, receive, send)
        return self._answer_later(scope, receive, send)

    async def _answer_later(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            endpoint = await self.endpoint()
        except Unavailable as error:
            await send_problem(send, error, trace_id_of(header(scope, b"traceparent")))
            return
        await endpoint(scope, receive, send)

    async def _run(self) -> None:
        """Build the endpoint and serve, again after each failure, until the server stops."""
        await self._requested.wait()
        self._failures = 0
        while not self._stopped.is_set():
            try:
                await self._serve()
            except Exception as error:  # the edge: the rest of the server must go on
                log.exception("the MCP endpoint failed")
                self._fail(f"the MCP endpoint failed: {error!r}")
                pause_s = REBUILD_AFTER_S[min(self._failures, len(REBUILD_AFTER_S) - 1)]
                self._failures += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), pause_s)
        self._fail("the server is stopping")

    async def _serve(self) -> None:
        """Build one endpoint and serve with it; one task enters and leaves it, as its task group demands."""
        endpoint = await asyncio.to_thread(self._build)
        async with endpoint.running():
            self._failure, self._failures = None, 0
            self._future().set_result(endpoint)
            await self._stopped.wait()
            endpoint.cut()
        if not self._stopped.is_set():
            raise InternalError("it ended by itself")

    def _future(self) -> asyncio.Future[McpApplication]:
        """The future that requests wait for; a new one when the last one is done."""
        assert self._endpoint is not None
        if self._endpoint.done():
            self._endpoint = asyncio.get_running_loop().create_future()
        return self._endpoint

    def _fail(self, reason: str) -> None:
        """Refuse requests until the next endpoint serves."""
        self._failure = reason
        future = self._future()
        future.set_exception(Unavailable(reason))
        future.exception()  # marks it as retrieved; each request raises it again

    def _build(self) -> McpApplication:
        # Imported here, in a thread: see WARM_UP_AFTER_S.
        from repomesh.surfaces.mcp.endpoint import McpEndpoint, ToolServer

        server = ToolServer(self._gateway)
        for extend in self.extensions:
            extend(server)
        return McpEndpoint(self._gateway, server)
