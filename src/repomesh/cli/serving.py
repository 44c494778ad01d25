"""Runs a server in this process: uvicorn around the application, from the first request to a clean stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from repomesh.app import Server
from repomesh.surfaces.stream.protocol import Protocol

_STOP_S = 1  # what still runs after this is cancelled; a stop takes at most three times as long
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


# A request leaves next to nothing in cycles: looking for them ten times less often saves a twentieth.
_COLLECT_AFTER = (10_000, 20, 20)


class _Serving(uvicorn.Server):
    """uvicorn that says when it is up, and that a signal stops without killing the process."""

    def __init__(self, server: Server, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                server.asgi,
                lifespan="off",
                loop="uvloop",
                http="httptools",
                ws=Protocol,
                ws_per_message_deflate=False,  # 1.4 times the CPU for each message, 117 kB a connection
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # whoever asks is who the connection and the token say
                timeout_graceful_shutdown=_STOP_S,
            )
        )
        self._server = server
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        # What is loaded now stays: the collector needn't look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End waits and streams at once, and let short requests finish."""
        self._server.interrupt()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal. uvicorn's own would raise it again and so skip what closes the store."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(server: Server, bound: socket.socket, on_started: Callable[[], None]) -> None:
    """Serve on a bound socket until a signal; then everything is closed in order."""
    serving = _Serving(server, on_started)

    async def run() -> None:
        async with server.running():
            await serving.serve([bound])

    with asyncio.Runner(loop_factory=serving.config.get_loop_factory()) as runner:
        runner.run(run())
