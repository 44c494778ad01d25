"""Documents about the API: built once per server, on a thread, and served from memory with an ETag.

Building one takes up to half a second, and clients without a token may request it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from repomesh.surfaces.http.asgi_messages import JSON, Scope, Send, header

T = TypeVar("T")

NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A JSON document as bytes, with their ETag."""

    body: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes) -> JsonDocument:
        """The document of these bytes; hashing takes some milliseconds for a megabyte."""
        return cls(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class BuiltOnce(Generic[T]):
    """Calls `make` once, on a thread, at the first `get`, and keeps the result."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return the result; raises whatever `make` raises, and calls it again the next time."""
        if self._made is None or (self._made.done() and self._made.exception() is not None):
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._made)  # a client that leaves must not cancel it for others


async def respond_document(scope: Scope, send: Send, document: JsonDocument) -> None:
    """Send a JSON document, or 304 to a client whose copy is current."""
    body, etag = document.body, document.etag
    if_none_match = header(scope, b"if-none-match") or ""
    is_unchanged = (
        etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
        or if_none_match.strip() == "*"
    )
    fields = [
        (b"etag", etag.encode()),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if not is_unchanged:
        fields += [(b"content-type", JSON), (b"content-length", str(len(body)).encode())]
    status = NOT_MODIFIED if is_unchanged else 200
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if is_unchanged else body})
