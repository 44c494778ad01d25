"""Runs a server in this process: uvicorn around the application, from the first request to a clean stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog

from repomesh.app import Server
from repomesh.kernel import limits, open_files, process_memory
from repomesh.surfaces.web_server import Config, WebServer

log = structlog.get_logger("repomesh.serving")

FORCED_EXIT = 70
"""The exit code of a server that had to end itself: EX_SOFTWARE of sysexits.h."""

_STOP_S = 1  # what still runs after this is cancelled; a stop takes at most three times as long
_FINAL_LOG_S = 2.0  # for writing the log: the process may hang on that disk
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


# Requests leave few reference cycles: collecting ten times less often saves 5 % of the time. A collection
# blocks requests, so the middle generation stays small: 50,000 objects take some 25 ms.
_COLLECT_AFTER = (10_000, 5, 80)


class _Serving(WebServer):
    """uvicorn with a callback after startup, whose signals stop it without killing the process."""

    def __init__(self, server: Server, on_started: Callable[[], None]) -> None:
        super().__init__(Config(server.asgi, _STOP_S))
        self._server = server
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, tune the garbage collector, and call `on_started`."""
        await super().startup(sockets)
        # What is loaded now stays: the collector need not scan it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End long waits and streams at once, and let short requests finish."""
        self._server.interrupt()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; end the process after STOP_FORCED_S, since acknowledged writes are on disk."""
        if not self.should_exit:
            last_resort = threading.Timer(limits.STOP_FORCED_S, end_process)
            last_resort.daemon = True  # the timer must not keep the process alive
            last_resort.start()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal. uvicorn's own would raise it again and so skip what closes the store."""
        previous = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def end_process() -> None:
    """End this process at once with FORCED_EXIT, and log the top frame of each thread."""
    fallback = threading.Timer(_FINAL_LOG_S, os._exit, [FORCED_EXIT])
    fallback.daemon = True
    fallback.start()
    stacks = {
        thread.name: traceback.format_stack(frame)[-1].strip()
        for thread in threading.enumerate()
        if (frame := sys._current_frames().get(thread.ident or 0)) is not None
    }
    log.error("did not stop in time, ending the process", after_s=limits.STOP_FORCED_S, threads=stacks)
    os._exit(FORCED_EXIT)


def serve(server: Server, listening: socket.socket, on_started: Callable[[], None]) -> None:
    """Serve on a bound socket until a signal, then close everything in order."""
    open_files.raise_limit()
    process_memory.map_large_blocks()
    serving = _Serving(server, on_started)

    async def run() -> None:
        async with server.running():
            await serving.serve([listening])

    with asyncio.Runner(loop_factory=serving.config.get_loop_factory()) as runner:
        runner.run(run())
