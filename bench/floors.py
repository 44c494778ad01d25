"""The floors: what the same framework does when it does nothing. Run as a server of its own.

`python -m bench.floors PORT` is Starlette alone, which neither validates a body nor knows a document of its
routes. `python -m bench.floors PORT api` is a route of FastAPI, which is Starlette with both, as our own HTTP
surface is: an empty function behind a model.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import uvicorn
from fastapi import FastAPI
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

_ANSWER = b'{"id":"01a1f841-1834-7001-9b53-6aa68da1c447"}'
_NOOP = {"name": "noop", "description": "Nothing.", "inputSchema": {"type": "object", "properties": {}}}


async def bare(request: Request) -> Response:
    """Read the body, answer a small JSON object."""
    await request.body()
    return Response(_ANSWER, media_type="application/json")


async def ready(_request: Request) -> Response:
    """Say that the server is up."""
    return Response(b"{}", media_type="application/json")


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
    return Response(_ANSWER, media_type="application/json")


async def _list_tools(_context: Any, _params: types.PaginatedRequestParams) -> dict[str, Any]:
    return {"resultType": "complete", "tools": [_NOOP]}


async def _call_tool(_context: Any, _params: types.CallToolRequestParams) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": "{}"}]}


_protocol: Server[Any] = Server("floor", version="1", get_tool_input_schema=lambda _name: None)
_protocol.add_request_handler("tools/list", types.PaginatedRequestParams, _list_tools)
_protocol.add_request_handler("tools/call", types.CallToolRequestParams, _call_tool)
_manager = StreamableHTTPSessionManager(_protocol)


@asynccontextmanager
async def _lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with _manager.run():
        yield


app = Starlette(
    routes=[
        Route("/bare", bare, methods=["POST"]),
        Route("/ready", ready),
        Route("/publish", publish, methods=["POST"]),
        WebSocketRoute("/listen", listen),
        Route("/mcp", _manager.asgi_app),
    ],
    lifespan=_lifespan,
)


class Sent(BaseModel):
    """What the route of FastAPI takes."""

    to: list[str]
    subject: str = ""
    body: str


class Answer(BaseModel):
    """What it answers."""

    id: str


def _api() -> FastAPI:
    made = FastAPI()

    @made.get("/ready")
    async def _ready() -> dict[str, str]:
        return {}

    @made.post("/bare")
    async def _bare(message: Sent) -> Answer:
        assert message.to
        return Answer(id="01a1f841-1834-7001-9b53-6aa68da1c447")

    return made


if __name__ == "__main__":
    uvicorn.run(
        _api() if "api" in sys.argv[2:] else app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
