"""Cross-origin headers for the origins that the operator listed; browsers hide responses without them."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from repomesh.surfaces.http.asgi_messages import ASGIApp

_METHODS = ("GET", "POST", "PATCH", "DELETE")
_REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "x-correlation-id",
    "x-repomesh-agent",
)
_ANSWER_HEADERS = ("etag", "idempotent-replayed", "mcp-session-id", "retry-after")


class ListedOriginCors(CORSMiddleware):
    """Answers preflight requests, and adds the headers that let a page read the response.

    The guard passes on requests of listed origins only; it compares origins without regard to case.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            app, allow_methods=_METHODS, allow_headers=_REQUEST_HEADERS, expose_headers=_ANSWER_HEADERS
        )

    def is_allowed_origin(self, origin: str) -> bool:
        """Return True: the guard has checked the origin."""
        return True

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return 204 for a request that is allowed, 400 for one whose method or headers are not."""
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            return response
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=headers)
