"""A server behind a real web server, and the clients that its streams are read with."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from socket import create_server
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from clocks import MovableClock
from harness import Mesh, Speaker
from repomesh.app import Server
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.surfaces.web_server import Config, WebServer


class _Web(WebServer):
    """The web server in a thread, where there are no signals to handle."""

    def __init__(self, config: Config, server: Server) -> None:
        super().__init__(config)
        self._server = server
        self.loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        self._server.interrupt()
        await super().shutdown(sockets)


@contextmanager
def serving(
    server: Server, ws: type[asyncio.Protocol] | None = None, places: int | None = None
) -> Iterator[_Web]:
    """Serve from a thread of its own, with an event loop of its own, until the block ends."""
    config = Config(server.asgi, 5, places)
    if ws is not None:
        config.ws = ws
    web = _Web(config, server)
    bound = create_server(("127.0.0.1", 0))

    async def run() -> None:
        web.loop = asyncio.get_running_loop()
        async with server.running():
            await web.serve([bound])

    def main() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(run())

    thread = threading.Thread(target=main, name="web")
    thread.start()
    while not web.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield web
    finally:
        web.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"


class LiveMesh(Mesh):
    """A mesh that answers at a URL."""

    def __init__(self, server: Server, http: httpx.AsyncClient, token: str, clock: Any, web: _Web) -> None:
        super().__init__(server, http, token, clock)
        self.url = str(http.base_url).rstrip("/")
        self.web = web

    async def settled(self) -> None:
        """Wait in the server's own loop."""
        assert self.web.loop is not None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(super().settled(), self.web.loop))


def url_of(web: WebServer) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
async def live(server: Server, settings: Settings, clock: MovableClock) -> AsyncIterator[LiveMesh]:
    """A mesh that answers at a URL, with a web server's sockets."""
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    with serving(server) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            yield LiveMesh(server, http, token, clock, web)


class Wire:
    """A socket of a speaker."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def send(self, type_: str, **fields: Any) -> None:
        await self.raw.send(json.dumps({"type": type_} | fields))

    async def next(self, *types: str, timeout_s: float = 10) -> Any:
        """The next frame of one of the types, or of any; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = json.loads(await self.raw.recv())
                if not types or frame["type"] in types:
                    return frame

    async def until_closed(self) -> tuple[list[Any], int, str]:
        """Every frame up to the server's close, with its code and reason."""
        frames: list[Any] = []

        async def read() -> None:
            while True:
                frames.append(json.loads(await self.raw.recv()))

        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(read(), 20)
        assert closed.value.rcvd is not None
        return frames, closed.value.rcvd.code, closed.value.rcvd.reason

    async def subscribe(self, id_: str = "all", **fields: Any) -> int:
        """Subscribe; answers the position from which on events come."""
        await self.send("subscribe", id=id_, **fields)
        position: int = (await self.next("subscribed"))["position"]
        return position

    async def events(self, count: int) -> list[Any]:
        """The next `count` events."""
        return [(await self.next("event"))["event"] for _ in range(count)]

    async def until(self, seq: int) -> list[Any]:
        """Events up to the one with this number."""
        events = []
        while not events or events[-1]["seq"] < seq:
            events += await self.events(1)
        return events


@asynccontextmanager
async def opened(mesh: LiveMesh, path: str, speaker: Speaker | None, **options: Any) -> AsyncIterator[Wire]:
    """A socket at a path, with the speaker's token in the header of its upgrade."""
    headers = dict(options.pop("headers", {}))
    if speaker is not None and speaker.token is not None:
        headers["Authorization"] = f"Bearer {speaker.token}"
    url = mesh.url.replace("http", "ws") + path
    usual: dict[str, Any] = {"compression": None, "max_size": None, "proxy": None, "open_timeout": 60}
    async with connect(url, additional_headers=headers, **(usual | options)) as raw:
        yield Wire(raw)


@asynccontextmanager
async def socket(mesh: LiveMesh, speaker: Speaker | None, **options: Any) -> AsyncIterator[Wire]:
    """A socket to the log; one that authenticates with its first frame is not ready yet."""
    async with opened(mesh, "/v1/ws", speaker, **options) as wire:
        if speaker is not None:
            await wire.next("ready")
        yield wire


@asynccontextmanager
async def stream(
    speaker: Speaker, headers: dict[str, str] | None = None, **params: Any
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """A speaker's event stream: `id`, `event` and `data` of each, comments left out."""
    sent = {"Authorization": f"Bearer {speaker.token}"} | (headers or {})
    async with speaker.http.stream("GET", "/v1/stream", params=params, headers=sent) as response:
        if response.status_code != 200:
            await response.aread()
            response.raise_for_status()
        yield _server_sent(response)


async def _server_sent(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields | {"data": json.loads(fields["data"])}
            fields = {}
        else:
            fields = {}
