"""Requests below the manners of an HTTP client: any bytes, any headers, in any pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from harness import Mesh
from repomesh.surfaces.http.asgi_messages import ASGIApp

JSON = (b"content-type", b"application/json")


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def request(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = ((b"host", b"localhost"),),
    pieces: Sequence[bytes] = (b"",),
    http_version: str = "1.1",
) -> Response:
    """Answer one request as a web server would hand it over, with its body in `pieces`."""
    left = [
        {"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)}
        for index, piece in enumerate(pieces)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        return None

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": http_version,
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
        "root_path": "",
    }
    await app(scope, receive, send)
    start, *bodies = sent
    return Response(
        start["status"],
        {name.decode(): value.decode("latin-1") for name, value in start["headers"]},
        b"".join(body["body"] for body in bodies),
    )


async def send(
    mesh: Mesh,
    method: str,
    path: str,
    body: bytes | list[bytes] = b"",
    *headers: tuple[bytes, bytes],
    query: bytes = b"",
) -> Response:
    """Send just these bytes as the owner of a mesh."""
    assert mesh.token is not None
    given = [(b"host", b"localhost"), (b"authorization", f"Bearer {mesh.token}".encode()), *headers]
    pieces = [body] if isinstance(body, bytes) else body
    return await request(mesh.server.asgi, method, path, query=query, headers=given, pieces=pieces)


async def create(mesh: Mesh, body: bytes, *headers: tuple[bytes, bytes], **options: Any) -> Response:
    """Ask as the owner for a new token, with just these bytes."""
    return await send(mesh, "POST", "/v1/tokens", body, JSON, *headers, **options)


async def websocket_close_code(app: ASGIApp, path: str, headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The code with which a WebSocket is closed before it opens; None when it is let in."""
    sent: list[Any] = []

    async def receive() -> Any:
        if sent:
            return {"type": "websocket.disconnect", "code": 1000}
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "root_path": "",
        "subprotocols": [],
    }
    await app(scope, receive, send)
    first = sent[0]
    return int(first["code"]) if first["type"] == "websocket.close" else None
