"""The real server for the conformance suite: `python server.py PORT [--plain]`.

The suite sends no token, so each request without one is given the owner's before it reaches the server,
which is otherwise the one that everybody runs. Without `--plain` the fixtures stand beside the real tools.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from repomesh.app import Server, prepare
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import configure_logging
from repomesh.store import folder


class WithToken:
    """Adds a token to requests that have none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._header = (b"authorization", f"Bearer {token}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not any(name == b"authorization" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], self._header]}
        await self._app(scope, receive, send)


async def serve(port: int, plain: bool, data: Path) -> None:
    """Serve until a signal."""
    folder.prepare(data)
    server = Server(Settings(data=data))
    prepare(server.settings, server.store, "conformance", None)
    token = folder.read_secret(data / folder.TOKEN)
    assert token is not None
    if not plain:
        from fixtures import add_fixtures

        server.mcp.extensions.append(add_fixtures)
    config = uvicorn.Config(
        WithToken(server.asgi, token),
        port=port,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    async with server.running():
        await uvicorn.Server(config).serve()


def main() -> None:
    """Serve from a data folder that is gone afterwards."""
    configure_logging("warning")
    with tempfile.TemporaryDirectory() as folder_name:
        asyncio.run(serve(int(sys.argv[1]), "--plain" in sys.argv, Path(folder_name) / "data"))


if __name__ == "__main__":
    main()
