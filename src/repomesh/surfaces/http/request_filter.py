"""Checks Host and Origin of every request, on HTTP and WebSocket alike.

Browsers apply no cross-origin rule to WebSockets, and a foreign page can point its own name at loopback
(DNS rebinding); so both headers are checked before anything else looks at a request.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from repomesh.kernel.data_folder import LOOPBACK_HOSTS
from repomesh.kernel.errors import ForeignOrigin, Misdirected, RepomeshError, TooLarge
from repomesh.kernel.limits import URL_BYTES_MAX
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.http.asgi_messages import ASGIApp, Receive, Scope, Send, header
from repomesh.surfaces.http.cors import ListedOriginCors
from repomesh.surfaces.http.problems import send_problem

PUBLIC_PATHS = frozenset({"/v1/webhook", "/openapi-actions.json"})
"""The only paths that requests through a tunnel may reach."""

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})

_FORBIDDEN_CLOSE = 4403
_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,255}))(?::\d{1,5})?")


class RequestFilter:
    """ASGI middleware that admits only known hosts and origins."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._cors = ListedOriginCors(app)
        self._hosts = LOOPBACK_HOSTS | {host.lower() for host in settings.allowed_hosts}
        if not _is_wildcard(settings.host):
            self._hosts |= {settings.host.lower()}
        # A server that listens on every interface answers to any IP address; names must be listed.
        self._any_address = _is_wildcard(settings.host)
        # The name of a tunnel: its requests reach the public paths only, unless the name is listed, too.
        self._public_host = (urlsplit(settings.public_url or "").hostname or "").lower() or None
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        refusal = self._find_refusal(scope, origin)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
        elif origin is not None and scope["type"] == "http" and self._is_listed(origin):
            await self._cors(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _find_refusal(self, scope: Scope, origin: str | None) -> RepomeshError | None:
        size = len(scope["path"]) + len(scope["query_string"])
        if size > URL_BYTES_MAX:
            return TooLarge(
                f"the URL has {size} bytes, the limit is {URL_BYTES_MAX}",
                hint="Ask for fewer things at once.",
                size_bytes=size,
                limit_bytes=URL_BYTES_MAX,
            )
        host = _request_host(scope)
        if host == self._public_host and scope["type"] == "http" and scope["path"] in PUBLIC_PATHS:
            return None if origin is None or self._is_listed(origin) else _foreign_origin(origin)
        if not host and scope.get("http_version") == "1.0" and scope["path"] in HEALTH_PATHS:
            return None  # the plain check of a load balancer; a browser always sends a Host
        if not self._is_own_host(host):
            return Misdirected(f"this server does not answer to the host '{host}'")
        if origin is None or self._is_listed(origin):
            return None
        # Among addresses only the requested host is an own origin: any other may be another machine's page.
        if _origin_host(origin) not in self._hosts | {host}:
            return _foreign_origin(origin)
        return None

    def _is_listed(self, origin: str) -> bool:
        return origin.lower().rstrip("/") in self._origins

    def _is_own_host(self, host: str) -> bool:
        return host in self._hosts or (self._any_address and _is_address(host))


def _foreign_origin(origin: str) -> ForeignOrigin:
    return ForeignOrigin(f"pages of '{origin}' may not reach this server")


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: RepomeshError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _FORBIDDEN_CLOSE, "reason": refusal.code})
    else:
        await send_problem(send, refusal, trace_id_of(header(scope, b"traceparent")))


def _request_host(scope: Scope) -> str:
    """The name in the Host header without port and brackets; empty unless there is one well-formed header."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    match = _HOST.fullmatch(hosts[0].decode("latin-1").lower()) if len(hosts) == 1 else None
    return (match[1] or match[2]) if match else ""


def _origin_host(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        _ = parts.port  # raises ValueError for a port that is no number
        return (parts.hostname or "").lower()
    except ValueError:
        return ""


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
