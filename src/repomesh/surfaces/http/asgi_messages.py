"""ASGI helpers of the HTTP surface: read a body, read headers, respond."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from repomesh.kernel import limits
from repomesh.kernel.errors import RequestTimeout, TooLarge, Unavailable
from repomesh.kernel.limits import BODY_BYTES_MAX

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"

# Responses may hold secrets: no cache may store them, and no browser may guess their content type.
_ALWAYS_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


_UNREAD_BYTES_MAX = 65_536  # of a response; the web server's buffer, which counts as sent


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first header with this lower-case name, None without one."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


Count = Callable[[int], None]
"""Called with the size of each piece of a body before it is kept; may raise to refuse it."""


async def read_body(
    scope: Scope,
    receive: Receive,
    bytes_max: int = BODY_BYTES_MAX,
    timeout_s: float | None = None,
    count: Count = lambda _size: None,
) -> bytes:
    """The whole body; raises TooLarge with both sizes as soon as it is known to be over `bytes_max`.

    Raises RequestTimeout when it is not complete after `timeout_s` seconds (`REQUEST_BODY_S` if None), and
    Unavailable when the client disconnects.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > bytes_max:
        raise _too_large(int(declared), bytes_max)
    timeout_s = limits.REQUEST_BODY_S if timeout_s is None else timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(receive, bytes_max, count)
    except TimeoutError:
        raise RequestTimeout(f"the body was not complete after {timeout_s:.0f} s") from None


async def _read(receive: Receive, bytes_max: int, count: Count) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client went away before its request was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(size, bytes_max)
        count(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def respond(
    send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: Headers = ()
) -> None:
    """Send a whole response. A long one returns when the client has read nearly all of it."""
    length = str(len(body)).encode()
    fields = [(b"content-type", content_type), (b"content-length", length), *_ALWAYS_HEADERS, *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    if len(body) > _UNREAD_BYTES_MAX:  # the next piece is taken when little of this one is left
        await send({"type": "http.response.body", "body": body, "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body})


async def respond_empty(send: Send, headers: Headers) -> None:
    """Send a 204 response with these headers."""
    await send({"type": "http.response.start", "status": 204, "headers": [*_ALWAYS_HEADERS, *headers]})
    await send({"type": "http.response.body", "body": b""})


def _too_large(size: int, bytes_max: int) -> TooLarge:
    return TooLarge(
        f"the body has {size} bytes or more, the limit is {bytes_max}",
        size_bytes=size,
        limit_bytes=bytes_max,
    )
