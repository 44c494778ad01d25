"""The stdio proxy: JSON-RPC lines from a client's pipe to the server's `/mcp`, and its answers back.

It imports no protocol library, so it starts fast. A line goes out as it came in; only what the headers need
is read: the method, the id, the revision and the name of what is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import httpx

from repomesh.proxy.membership import Membership
from repomesh.proxy.messages import (
    INVALID,
    UNAVAILABLE,
    ClientMessage,
    Headers,
    Json,
    RefusedError,
    SessionLostError,
    answers,
    events,
    one_line,
    refusal,
    refusal_answer,
)

SILENCE_S: Final = 60.0
"""A stream on which not even a keep-alive came for this long is dead; the server sends one every 15 s."""
RETRY_FOR_S: Final = 20.0
"""How long a request waits for a server that is away, being restarted say; clients give up at 30 s."""
MAX_REQUESTS: Final = 256
"""Requests of one client that may be open at once; far more than a model calls tools in one turn."""
DRAIN_S: Final = 2.0
"""How long what was asked may still be answered after the client closed its end."""

ACCEPT: Final = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
T = TypeVar("T")


@dataclass
class UpstreamSession:
    """A session of the older handshake, and how to open it again."""

    opening: ClientMessage
    headers: Headers = field(default_factory=dict)


class Proxy:
    """Pumps messages both ways until the client closes its end."""

    def __init__(
        self, http: httpx.AsyncClient, url: str, membership: Membership, write: Callable[[bytes], None]
    ) -> None:
        self._http, self._url, self._membership, self._write = http, f"{url}/mcp", membership, write
        self._session: UpstreamSession | None = None
        self._once = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[str | int, asyncio.Task[None]] = {}
        self._beating: asyncio.Task[None] | None = None

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Serve the client's lines; returns when they end."""
        try:
            async for line in lines:
                self._take(line)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=DRAIN_S)
        finally:
            await self._close()

    def _take(self, line: bytes) -> None:
        """Start what a line asks for."""
        try:
            message = ClientMessage.read(line)
        except ValueError as error:
            self._write_message({"id": None, "error": {"code": INVALID, "message": str(error)}})
            return
        if message.is_request and len(self._requests) >= MAX_REQUESTS:
            busy = f"{MAX_REQUESTS} requests are open already."
            self._write_message({"id": message.id, "error": {"code": UNAVAILABLE, "message": busy}})
            return
        if message.method == "notifications/cancelled":
            self._cancel(message.params.get("requestId"))
        task = asyncio.create_task(self._answer(message) if message.is_request else self._notify(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if message.method == "initialize":
            self._opening = task
        if message.is_request and message.id is not None:
            self._requests[message.id] = task
            task.add_done_callback(partial(self._forget, message.id))

    def _forget(self, request_id: str | int, _done: asyncio.Task[None]) -> None:
        self._requests.pop(request_id, None)

    def _cancel(self, request_id: object) -> None:
        """Closing the response stream is how a request is cancelled over HTTP."""
        task = self._requests.get(request_id) if isinstance(request_id, str | int) else None
        if task is not None:
            task.cancel()

    async def _handshake(self, message: ClientMessage) -> None:
        """What follows an `initialize` needs the session that it opens."""
        if self._opening is not None and message.method != "initialize":
            await asyncio.wait([self._opening])

    async def _notify(self, message: ClientMessage) -> None:
        """Notifications and answers to the server's own requests: nobody waits for what becomes of them."""
        await self._handshake(message)
        identity = self._membership.headers
        if identity is None or (self._session is None and message.revision is None):
            return
        with contextlib.suppress(httpx.HTTPError):
            headers = {**ACCEPT, **identity, **self._addressing(message)}
            await self._http.post(self._url, content=message.line, headers=headers)

    async def _answer(self, message: ClientMessage) -> None:
        """Answer one request, whatever happens to it, unless the client took it back."""
        try:
            await self._handshake(message)
            await self._join(message)
            # The key makes it safe to send the same request again when only its answer was lost.
            key = {"Idempotency-Key": uuid.uuid4().hex}
            await self._patiently(lambda: self._deliver(message, key))
        except RefusedError as refused:
            self._write_message({"id": message.id, **refusal_answer(message, refused)})
        except Exception as error:
            log(f"{message.method}: {error!r}")
            failure = {"code": UNAVAILABLE, "message": f"The proxy failed: {error!r}"}
            self._write_message({"id": message.id, "error": failure})

    async def _join(self, message: ClientMessage) -> None:
        """Before the first request: become an agent, named after the client, and stay one."""
        async with self._once:
            await self._patiently(lambda: self._membership.register(message.client_name))
            if self._beating is None:
                self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._membership.heartbeat_every_s)
            try:
                await self._membership.heartbeat()
            except (RefusedError, httpx.HTTPError) as error:
                log(f"heartbeat: {error!r}")

    async def _deliver(self, message: ClientMessage, key: Headers) -> None:
        """Send a request and pass on its answer; a session or identity that was lost is made anew, once."""
        session, identity = self._session, self._membership.headers
        try:
            await self._exchange(message, key)
        except SessionLostError:
            await self._reopen(session)
            await self._exchange(message, key)
        except RefusedError as refused:
            if refused.status != httpx.codes.UNAUTHORIZED:
                raise
            self._membership.lost(refused, identity)
            await self._join(message)
            if message.method != "initialize":
                await self._reopen(session)  # it belonged to the identity that was lost
            await self._exchange(message, key)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until the server is there, for a while from when it was first missed."""
        loop = asyncio.get_running_loop()
        until, pause = 0.0, 0.1
        while True:
            try:
                return await attempt()
            except httpx.TransportError as error:
                until = until or loop.time() + RETRY_FOR_S
                if loop.time() + pause > until:
                    hint = "Start it with `repomesh up`, then call again."
                    raise RefusedError(
                        "unavailable", f"No server at {self._url} ({error!r}).", hint
                    ) from None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _reopen(self, lost: UpstreamSession | None) -> None:
        """Open the session again as the client opened it, unless another request did so meanwhile."""
        async with self._once:
            if lost is None or self._session is not lost:
                return
            log("the server lost the session; opening it again")
            fresh = UpstreamSession(lost.opening)
            async for _answer in self._post(lost.opening, {}, fresh):
                pass
            ready = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
            headers = {**ACCEPT, **self._identity(), **fresh.headers}
            await self._http.post(self._url, content=ready, headers=headers)
            self._session = fresh

    async def _exchange(self, message: ClientMessage, extra: Headers) -> None:
        """One POST; writes what comes back."""
        fresh = UpstreamSession(message) if message.method == "initialize" else None
        async for answer in self._post(message, extra, fresh):
            self._write(answer)
        if fresh is not None:
            self._session = fresh

    def _identity(self) -> Headers:
        return self._membership.headers or {}

    def _addressing(self, message: ClientMessage) -> Headers:
        """The headers that say to which revision, and to which session, a message belongs."""
        if message.revision is not None:
            return message.stateless_headers()
        return self._session.headers if self._session is not None and message.method != "initialize" else {}

    async def _post(
        self, message: ClientMessage, extra: Headers, opened: UpstreamSession | None
    ) -> AsyncIterator[bytes]:
        """Send a request; yields the lines to write, the last of which is its answer."""
        headers = {**ACCEPT, **self._identity(), **self._addressing(message), **extra}
        async with self._http.stream("POST", self._url, content=message.line, headers=headers) as response:
            streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            if response.status_code == 404 and "Mcp-Session-Id" in headers:
                raise SessionLostError
            if not streamed:
                body = await response.aread()
                if not answers(message, body):
                    raise refusal(response, body)
                self._remember(opened, response, body)
                yield one_line(body)
                return
            async for data in events(response):
                if done := answers(message, data):
                    self._remember(opened, response, data)
                yield one_line(data)
                if done:
                    return
        raise httpx.RemoteProtocolError("the stream ended before the answer")

    @staticmethod
    def _remember(opened: UpstreamSession | None, response: httpx.Response, answer: bytes) -> None:
        """Keep what the handshake's answer says about how to go on."""
        result = json.loads(answer).get("result") if opened is not None else None
        if opened is not None and isinstance(result, dict):
            opened.headers = {"MCP-Protocol-Version": str(result.get("protocolVersion", ""))}
            if session_id := response.headers.get("mcp-session-id"):
                opened.headers["Mcp-Session-Id"] = session_id

    def _write_message(self, body: Json) -> None:
        self._write(json.dumps({"jsonrpc": "2.0", **body}, separators=(",", ":")).encode())

    async def _close(self) -> None:
        """Give up what runs, end the session, and say that the agent leaves."""
        tasks = [*self._tasks, *([self._beating] if self._beating else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RefusedError, httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                if self._session is not None and "Mcp-Session-Id" in self._session.headers:
                    await self._http.delete(self._url, headers={**self._identity(), **self._session.headers})
                await self._membership.leave()


def log(text: str) -> None:
    """Standard output belongs to the protocol; everything else goes to standard error."""
    sys.stderr.write(f"repomesh mcp: {text}\n")
    sys.stderr.flush()


def write_line(line: bytes) -> None:
    """One whole line to standard output, at once. A client that is gone ends the process."""
    left = memoryview(line + b"\n")
    try:
        while left:
            left = left[os.write(1, left) :]
    except BrokenPipeError:
        signal.raise_signal(signal.SIGTERM)


async def stdin_lines() -> AsyncIterator[bytes]:
    """The lines of standard input until it ends.

    A thread reads them, so a file or a terminal works as well as a pipe. It reads the descriptor: a buffered
    reader that is blocked while the interpreter shuts down is a fatal error.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        rest = b""
        while chunk := os.read(0, 65536):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                loop.call_soon_threadsafe(queue.put_nowait, line)
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            loop.call_soon_threadsafe(queue.put_nowait, rest)
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        if line.strip():
            yield line
