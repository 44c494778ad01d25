"""A door to a server that counts the HTTP requests which come through it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(?:^|\n)(?:GET|POST|PATCH|PUT|DELETE) (/\S*) HTTP/1\.[01]\r\n")


class Relay:
    """Passes bytes on; `requests` are the paths that were asked for, in order."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), parts.port)
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, ready: threading.Event) -> None:
        """Until `close`."""
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._done.wait()
        server.close()

    def close(self) -> None:
        """Let no more through."""
        self._loop.call_soon_threadsafe(self._done.set)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = await asyncio.open_connection(*self._target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool) -> None:
            with suppress(OSError):
                while part := await source.read(65536):
                    if count:
                        self.requests += [path.decode() for path in _REQUEST.findall(part)]
                    sink.write(part)
                    await sink.drain()
            with suppress(OSError):
                sink.close()

        await asyncio.gather(pump(reader, far, count=True), pump(near, writer, count=False))


@contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """A relay to a server's URL, until the block ends."""
    relay = Relay(target)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(relay.serve(ready)), name="relay")
    thread.start()
    assert ready.wait(5)
    try:
        yield relay
    finally:
        relay.close()
        thread.join(10)
