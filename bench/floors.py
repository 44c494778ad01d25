"""The floors: what the same framework does when it does nothing. Run as a server of its own."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


async def bare(request: Request) -> Response:
    """Read the body, answer a small JSON object."""
    await request.body()
    return Response(b'{"id":"01a1f841-1834-7001-9b53-6aa68da1c447"}', media_type="application/json")


_sockets: set[WebSocket] = set()


async def listen(socket: WebSocket) -> None:
    """Be one of the sockets of the bare loop."""
    await socket.accept()
    _sockets.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        _sockets.discard(socket)


async def publish(request: Request) -> Response:
    """Send the body to every socket in a bare loop."""
    text = (await request.body()).decode()
    for socket in list(_sockets):
        await socket.send_text(text)
    return Response(b'{"sent":true}', media_type="application/json")


app = Starlette(
    routes=[
        Route("/bare", bare, methods=["POST"]),
        Route("/publish", publish, methods=["POST"]),
        WebSocketRoute("/listen", listen),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
