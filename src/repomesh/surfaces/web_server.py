"""uvicorn as this server runs it: its protocols with limits, and a check of all connections once a second."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from repomesh.kernel import limits, open_files
from repomesh.surfaces.http.asgi_messages import ASGIApp
from repomesh.surfaces.http.connections import OpenConnections
from repomesh.surfaces.http.protocol import HttpProtocol
from repomesh.surfaces.stream.protocol import Protocol

_TICKS_PER_S = 10  # uvicorn's
_SWEEP_TICKS = round(limits.CONNECTION_SWEEP_S * _TICKS_PER_S)


class Config(uvicorn.Config):
    """uvicorn's configuration, with the limited places for connections.

    uvicorn's own `limit_concurrency` is not used: it refuses everybody when there are many connections,
    requests with a valid token and `/healthz` included.
    """

    def __init__(self, app: ASGIApp, stop_s: int, places: int | None = None) -> None:
        self.connections = OpenConnections(open_files.connections_max() if places is None else places)
        super().__init__(
            app,
            port=0,
            lifespan="off",
            loop="uvloop",
            http=HttpProtocol,
            ws=Protocol,
            ws_max_size=limits.SOCKET_AUTH_FRAME_BYTES_MAX,  # until the socket is authenticated
            ws_per_message_deflate=False,  # 1.4 times the CPU for each message, 117 kB a connection
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # forwarded addresses can be made up
            # Queued connections take no open file yet, and a client that finds the queue full retries only
            # after a second. The system may allow fewer (net.core.somaxconn).
            backlog=limits.LISTEN_BACKLOG,
            timeout_graceful_shutdown=stop_s,
        )


class WebServer(uvicorn.Server):
    """uvicorn's server, which also enforces the deadlines of connections."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.connections = config.connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, also on copies of each socket, since uvloop accepts one connection a round from each."""
        copies = [listener.dup() for listener in sockets or () for _ in range(limits.ACCEPTS_PER_ROUND - 1)]
        await super().startup(None if sockets is None else [*sockets, *copies])

    async def on_tick(self, counter: int) -> bool:
        """Check the connections' deadlines once a second, then do as uvicorn does."""
        if counter % _SWEEP_TICKS == 0:
            self.connections.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)
