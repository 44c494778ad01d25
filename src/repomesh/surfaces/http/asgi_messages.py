"""The few ASGI moves that the HTTP surface is made of: read a body, read headers, respond."""

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

# Answers hold secrets and what only their reader may see: nobody keeps them, and no browser guesses at them.
_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


Count = Callable[[int], None]
"""Called with the size of each piece of a body before it is kept; may raise to refuse it."""


async def read_body(
    scope: Scope,
    receive: Receive,
    most: int = BODY_BYTES_MAX,
    within_s: float | None = None,
    count: Count = lambda _size: None,
) -> bytes:
    """The whole body; raises TooLarge with both sizes as soon as it is known to be over `most`.

    Raises RequestTimeout when it is not complete after `within_s` seconds, `REQUEST_BODY_S` unless given.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > most:
        raise _too_large(int(declared), most)
    within_s = limits.REQUEST_BODY_S if within_s is None else within_s
    try:
        async with asyncio.timeout(within_s):
            return await _read(receive, most, count)
    except TimeoutError:
        raise RequestTimeout(f"the body was not complete after {within_s:.0f} s") from None


async def _read(receive: Receive, most: int, count: Count) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client went away before its request was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(size, most)
        count(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def respond(
    send: Send, status: int, body: bytes, content_type: bytes = JSON, headers: Headers = ()
) -> None:
    """Send a whole response."""
    length = str(len(body)).encode()
    fields = [(b"content-type", content_type), (b"content-length", length), *_ALWAYS, *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def respond_empty(send: Send, headers: Headers) -> None:
    """Send a response that consists of its headers."""
    await send({"type": "http.response.start", "status": 204, "headers": [*_ALWAYS, *headers]})
    await send({"type": "http.response.body", "body": b""})


def _too_large(size: int, most: int) -> TooLarge:
    return TooLarge(
        f"the body has {size} bytes or more, the limit is {most}",
        size_bytes=size,
        limit_bytes=most,
    )
