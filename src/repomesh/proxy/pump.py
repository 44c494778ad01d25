"""The stdio proxy: JSON-RPC lines from a client's pipe to the server's `/mcp`, and its answers back.

It imports no protocol library, so it starts fast. A line is forwarded unchanged; only the values for the
headers are read: the method, the id, the revision and the name of the requested object.
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
    LINE_BYTES_MAX,
    UNAVAILABLE,
    ClientMessage,
    Headers,
    Json,
    LineBuffer,
    RefusedError,
    SessionLostError,
    is_answer_to,
    one_line,
    read_events,
    refusal_answer,
    refusal_of_response,
)

SILENCE_S: Final = 60.0
"""A stream without even a keep-alive for this long is dead; the server sends one every 15 s."""
RETRY_FOR_S: Final = 20.0
"""How long a request waits for a server that is away, such as during a restart; clients give up at 30 s."""
MAX_REQUESTS: Final = 256
"""Requests of one client that may be open at once; far more than a model calls tools in one turn."""
DRAIN_S: Final = 2.0
"""How long open requests may still be answered after the client closed its end."""

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
        self._join_lock = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[str | int, asyncio.Task[None]] = {}
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Serve the client's lines; returns when they end."""
        try:
            async for line in lines:
                self._handle_line(line)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=DRAIN_S)
        finally:
            await self._close()

    def _handle_line(self, line: bytes) -> None:
        """Start a task for the message in a line, or refuse it."""
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
        """Cancel a request by closing its response stream, as HTTP requires."""
        task = self._requests.get(request_id) if isinstance(request_id, str | int) else None
        if task is not None:
            task.cancel()

    async def _wait_for_handshake(self, message: ClientMessage) -> None:
        """Wait until the session is open that a preceding `initialize` opens."""
        if self._opening is not None and message.method != "initialize":
            await asyncio.wait([self._opening])

    async def _notify(self, message: ClientMessage) -> None:
        """Forward a notification, or a response to the server's own request; failures are ignored."""
        await self._wait_for_handshake(message)
        identity = self._membership.headers
        if identity is None or (self._session is None and message.revision is None):
            return
        with contextlib.suppress(httpx.HTTPError):
            headers = {**ACCEPT, **identity, **self._revision_headers(message)}
            await self._http.post(self._url, content=message.line, headers=headers)

    async def _answer(self, message: ClientMessage) -> None:
        """Answer one request, with an error if need be, unless the client cancelled it."""
        try:
            await self._wait_for_handshake(message)
            await self._ensure_joined(message)
            # The key makes it safe to send the same request again when only its answer was lost.
            key = {"Idempotency-Key": uuid.uuid4().hex}
            await self._retry(lambda: self._deliver(message, key))
        except RefusedError as error:
            self._write_message({"id": message.id, **refusal_answer(message, error)})
        except Exception as error:
            log(f"{message.method}: {error!r}")
            failure = {"code": UNAVAILABLE, "message": f"The proxy failed: {error!r}"}
            self._write_message({"id": message.id, "error": failure})

    async def _ensure_joined(self, message: ClientMessage) -> None:
        """Register the agent, named after the client, and start its heartbeats, unless that was done."""
        async with self._join_lock:
            await self._retry(lambda: self._membership.register(message.client_name))
            if self._heartbeat_task is None:
                self._heartbeat_task = asyncio.create_task(self._send_heartbeats())

    async def _send_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._membership.heartbeat_every_s)
            try:
                await self._membership.heartbeat()
            except (RefusedError, httpx.HTTPError) as error:
                log(f"heartbeat: {error!r}")

    async def _deliver(self, message: ClientMessage, key: Headers) -> None:
        """Send a request and forward its response; a lost session or identity is restored once."""
        session, identity = self._session, self._membership.headers
        try:
            await self._exchange(message, key)
        except SessionLostError:
            await self._reopen(session)
            await self._exchange(message, key)
        except RefusedError as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
            self._membership.forget_instance(error, identity)
            await self._ensure_joined(message)
            if message.method != "initialize":
                await self._reopen(session)  # it belonged to the identity that was lost
            await self._exchange(message, key)

    async def _retry(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Retry until the server answers; raises RefusedError RETRY_FOR_S after the first failure."""
        loop = asyncio.get_running_loop()
        give_up_at, pause_s = 0.0, 0.1
        while True:
            try:
                return await attempt()
            except httpx.TransportError as error:
                give_up_at = give_up_at or loop.time() + RETRY_FOR_S
                if loop.time() + pause_s > give_up_at:
                    hint = "Start it with `repomesh up`, then call again."
                    raise RefusedError(
                        "unavailable", f"No server at {self._url} ({error!r}).", hint
                    ) from None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 2.0)

    async def _reopen(self, lost: UpstreamSession | None) -> None:
        """Open the session again as the client opened it, unless another request did so meanwhile."""
        async with self._join_lock:
            if lost is None or self._session is not lost:
                return
            log("the server lost the session; opening it again")
            new_session = UpstreamSession(lost.opening)
            async for _answer in self._post(lost.opening, {}, new_session):
                pass
            ready = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
            headers = {**ACCEPT, **self._identity(), **new_session.headers}
            await self._http.post(self._url, content=ready, headers=headers)
            self._session = new_session

    async def _exchange(self, message: ClientMessage, extra_headers: Headers) -> None:
        """Send one POST, and write its responses."""
        new_session = UpstreamSession(message) if message.method == "initialize" else None
        async for answer in self._post(message, extra_headers, new_session):
            self._write(answer)
        if new_session is not None:
            self._session = new_session

    def _identity(self) -> Headers:
        return self._membership.headers or {}

    def _revision_headers(self, message: ClientMessage) -> Headers:
        """The headers of a message's revision and session."""
        if message.revision is not None:
            return message.stateless_headers()
        return self._session.headers if self._session is not None and message.method != "initialize" else {}

    async def _post(
        self, message: ClientMessage, extra_headers: Headers, new_session: UpstreamSession | None
    ) -> AsyncIterator[bytes]:
        """Send a request; yields the lines to write, the last of which is its response.

        Raises SessionLostError, RefusedError, or httpx.TransportError.
        """
        headers = {**ACCEPT, **self._identity(), **self._revision_headers(message), **extra_headers}
        async with self._http.stream("POST", self._url, content=message.line, headers=headers) as response:
            is_streamed = response.headers.get("content-type", "").startswith("text/event-stream")
            if response.status_code == 404 and "Mcp-Session-Id" in headers:
                raise SessionLostError
            if not is_streamed:
                body = await response.aread()
                if not is_answer_to(message, body):
                    raise refusal_of_response(response, body)
                self._store_session(new_session, response, body)
                yield one_line(body)
                return
            async for data in read_events(response):
                if is_answer := is_answer_to(message, data):
                    self._store_session(new_session, response, data)
                yield one_line(data)
                if is_answer:
                    return
        raise httpx.RemoteProtocolError("the stream ended before the answer")

    @staticmethod
    def _store_session(new_session: UpstreamSession | None, response: httpx.Response, answer: bytes) -> None:
        """Store the protocol version and session id of the handshake's response."""
        result = json.loads(answer).get("result") if new_session is not None else None
        if new_session is not None and isinstance(result, dict):
            new_session.headers = {"MCP-Protocol-Version": str(result.get("protocolVersion", ""))}
            if session_id := response.headers.get("mcp-session-id"):
                new_session.headers["Mcp-Session-Id"] = session_id

    def _write_message(self, body: Json) -> None:
        self._write(json.dumps({"jsonrpc": "2.0", **body}, separators=(",", ":")).encode())

    async def _close(self) -> None:
        """Cancel all tasks, end the session, and let the agent leave."""
        tasks = [*self._tasks, *([self._heartbeat_task] if self._heartbeat_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(RefusedError, httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                if self._session is not None and "Mcp-Session-Id" in self._session.headers:
                    await self._http.delete(self._url, headers={**self._identity(), **self._session.headers})
                await self._membership.leave()


def log(text: str) -> None:
    """Log to standard error: standard output belongs to the protocol."""
    sys.stderr.write(f"repomesh mcp: {text}\n")
    sys.stderr.flush()


def write_line(line: bytes) -> None:
    """Write one line to standard output, unbuffered. A closed pipe ends the process by SIGTERM."""
    remaining = memoryview(line + b"\n")
    try:
        while remaining:
            remaining = remaining[os.write(1, remaining) :]
    except BrokenPipeError:
        signal.raise_signal(signal.SIGTERM)


async def stdin_lines() -> AsyncIterator[bytes]:
    """Yield the lines of standard input until it ends.

    A thread reads them, so a file or a terminal works as well as a pipe. It reads the descriptor, since a
    buffered reader that is blocked while the interpreter shuts down is a fatal error.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def read() -> None:
        lines = LineBuffer(LINE_BYTES_MAX)
        while chunk := os.read(0, 65536):
            for line in lines.take(chunk):
                loop.call_soon_threadsafe(queue.put_nowait, line)
        with contextlib.suppress(RuntimeError):  # the loop may be closed already
            loop.call_soon_threadsafe(queue.put_nowait, lines.rest())
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        if line.strip():
            yield line
