"""Cross-origin answers for the origins that the operator listed: without them a browser shows a page nothing.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from repomesh.surfaces.http.asgi import ASGIApp, Message, Receive, Scope, Send, header, respond_empty

_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, if-match, last-event-id, mcp-method, mcp-name,"
        b" mcp-protocol-version, mcp-session-id, traceparent, x-correlation-id, x-repomesh-agent",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (
    b"access-control-expose-headers",
    b"etag, idempotent-replayed, mcp-session-id, retry-after",
)


async def share(app: ASGIApp, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a preflight request, or have `app` answer with the headers that let `origin` read it."""
    admitted = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]

    async def send_shared(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *admitted, _EXPOSED]
        await send(message)

    if scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method") is not None:
        await respond_empty(send, [*admitted, *_PREFLIGHT])
    else:
        await app(scope, receive, send_shared)
