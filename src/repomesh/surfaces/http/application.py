"""The ASGI application: the API's routes, the pages about the server, and the guard in front of both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import orjson
import structlog
from prometheus_client import generate_latest
from starlette.routing import BaseRoute, Route, Router

from repomesh.domains.changes.queue.reports import depth_everywhere
from repomesh.kernel.errors import NotFound, RepomeshError, Unavailable
from repomesh.kernel.identity import system_caller
from repomesh.kernel.telemetry import trace_id_of
from repomesh.store import log as event_log
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import ASGIApp, Receive, Scope, Send, header, respond
from repomesh.surfaces.http.authentication import authenticate
from repomesh.surfaces.http.documents import BuiltOnce, JsonDocument, respond_document
from repomesh.surfaces.http.openapi import openapi_document
from repomesh.surfaces.http.problems import send_problem
from repomesh.surfaces.http.protocol import HEALTH_PATH
from repomesh.surfaces.http.request_filter import RequestFilter
from repomesh.surfaces.http.routes import refuse_method, routes
from repomesh.surfaces.http.schemas import PATH as SCHEMA_PATH
from repomesh.surfaces.http.schemas import SCHEMAS, schema_documents

log = structlog.get_logger("repomesh.http")

_PROMETHEUS_TEXT = b"text/plain; version=0.0.4; charset=utf-8"

_Answer = Callable[[Scope, Send], Awaitable[None]]


Check = Callable[[], str | None]
"""Returns why the server is not ready, or None when nothing is wrong."""


def application(
    gateway: Gateway, extra_routes: Sequence[BaseRoute] = (), checks: Sequence[Check] = ()
) -> ASGIApp:
    """Build the application; `extra_routes`, of other surfaces on the same port, are matched first."""
    about = AboutServer(gateway, checks)
    all_routes = [
        *extra_routes,
        Route(HEALTH_PATH, _Page(about.health)),
        Route("/readyz", _Page(about.readiness)),
        Route("/metrics", _Page(about.metrics)),
        Route("/openapi.json", _Page(about.openapi)),
        *(Route(f"{SCHEMA_PATH}{name}", _Page(about.schema)) for name in SCHEMAS),
        *routes(gateway),
    ]
    return RequestFilter(LiteralPathRouter(all_routes), gateway.settings)


class LiteralPathRouter:
    """Looks a path without parameters up in a dictionary, and leaves the others to starlette's router.

    That router tries one pattern after the other: 30 µs for the last of eighty, on every request.
    """

    def __init__(self, all_routes: Sequence[BaseRoute]) -> None:
        self._literal = {
            route.path: route.app
            for route in all_routes
            if isinstance(route, Route) and "{" not in route.path
        }
        self._router = Router(all_routes, redirect_slashes=False, default=_not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to its endpoint."""
        app = self._literal.get(scope["path"]) if scope["type"] == "http" else None
        await (app or self._router)(scope, receive, send)


class AboutServer:
    """Pages about the server itself, without a workspace."""

    def __init__(self, gateway: Gateway, checks: Sequence[Check] = ()) -> None:
        self._gateway = gateway
        self._checks = checks
        self._openapi = BuiltOnce(
            lambda: JsonDocument.of(orjson.dumps(openapi_document(gateway.registry, gateway.version)))
        )
        self._schemas = BuiltOnce(schema_documents)

    async def health(self, scope: Scope, send: Send) -> None:
        """Answer 200 with the version: the process runs."""
        await respond(send, 200, orjson.dumps({"status": "ok", "version": self._gateway.version}))

    async def readiness(self, scope: Scope, send: Send) -> None:
        """Answer 200 when the store responds and no check fails; raises Unavailable with the reason if not.

        The status is `read_only` when the store is damaged and takes no writes.
        """
        for check in self._checks:
            reason = check()
            if reason is not None:
                log.warning("not ready", reason=reason)
                raise Unavailable(reason, hint="It recovers by itself; the server's log says more.")
        try:
            await self._gateway.store.read(system_caller(""), lambda tx: event_log.bounds(tx.connection, ""))
        except Exception as error:  # whatever it is, the server can't serve; the caller showed no token
            log.warning("not ready", reason=str(error))
            raise Unavailable("the store does not answer", hint="The server's log says why.") from None
        status = "read_only" if self._gateway.store.damage else "ready"
        await respond(send, 200, orjson.dumps({"status": status, "version": self._gateway.version}))

    async def metrics(self, scope: Scope, send: Send) -> None:
        """Answer the Prometheus series to any valid token; raises Unauthenticated."""
        await authenticate(self._gateway, scope)
        open_changes, oldest_s = await self._gateway.store.read(system_caller(""), depth_everywhere)
        self._gateway.metrics.show_changes(open_changes, oldest_s)
        await respond(send, 200, generate_latest(self._gateway.metrics.registry), _PROMETHEUS_TEXT)

    async def schema(self, scope: Scope, send: Send) -> None:
        """Answer one of the versioned JSON Schemas, with an ETag."""
        documents = await self._schemas.get()
        await respond_document(scope, send, documents[scope["path"]])

    async def openapi(self, scope: Scope, send: Send) -> None:
        """Answer the OpenAPI document, with an ETag."""
        await respond_document(scope, send, await self._openapi.get())


class _Page:
    """A page as an ASGI application, with errors as problem documents."""

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace_id = trace_id_of(header(scope, b"traceparent"))
        if scope["method"] not in ("GET", "HEAD"):
            await refuse_method(scope, send, ["GET"], trace_id)
            return
        try:
            await self._answer(scope, send)
        except RepomeshError as error:
            await send_problem(send, error, trace_id)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4404, "reason": "not_found"})
        return
    error = NotFound(
        f"there is nothing at {scope['path']}", hint="See /openapi.json for every path of this server."
    )
    await send_problem(send, error, trace_id_of(header(scope, b"traceparent")))
