"""Follows the server's events over a WebSocket to know when to wake sessions, and polls as a fallback."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import Failure

log = structlog.get_logger("repomesh.daemon")

TYPES: Final = ("message.sent", "cli_session")
"""After these events a session may have to be woken."""
COALESCE_S: Final = 0.5  # events within this time cause one look; two looks a second at most
LOOK_AT_LEAST_EVERY_S: Final = 60.0  # a lost event costs latency, never a message
RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 15.0
OPEN_S: Final = 5.0
AWAY_MOST_S: Final = 600.0
"""A server that is away for so long counts as gone; starting it again starts the daemon, too."""


class ServerGoneError(Exception):
    """The server stayed away, or has ended."""


async def watch(
    url: str, token: str, wake_due: Callable[[], Awaitable[float | None]], has_ended: Callable[[], bool]
) -> None:
    """Call `wake_due` at once, after each relevant event, and after the seconds that it returned; endlessly.

    Raises ServerGoneError when the server does not answer for AWAY_MOST_S, or when `has_ended` returns True;
    RemoteError when it refuses the token.
    """
    event_seen = asyncio.Event()
    listen_task = asyncio.create_task(_listen(url, token, event_seen, has_ended), name="events")
    look_task = asyncio.create_task(_wake_repeatedly(event_seen, wake_due), name="looks")
    try:
        finished, _ = await asyncio.wait({listen_task, look_task}, return_when=asyncio.FIRST_COMPLETED)
        for task in finished:
            task.result()
    finally:
        for task in (listen_task, look_task):
            task.cancel()
            with suppress(asyncio.CancelledError, ServerGoneError, RemoteError):
                await task


async def _wake_repeatedly(
    event_seen: asyncio.Event, wake_due: Callable[[], Awaitable[float | None]]
) -> None:
    while True:
        event_seen.clear()
        try:
            pause_s = await wake_due()
        except RemoteError as error:
            if error.failure in (Failure.FORBIDDEN, Failure.UNAUTHENTICATED):
                raise
            log.warning("check failed, will be tried again", reason=str(error))
            pause_s = RETRY_MOST_S
        except Exception as error:  # the server or a CLI may fail in any way; the next look may succeed
            log.warning("check failed, will be tried again", reason=_reason(error))
            pause_s = RETRY_MOST_S
        wait_s = LOOK_AT_LEAST_EVERY_S if pause_s is None else min(max(pause_s, 0.0), LOOK_AT_LEAST_EVERY_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await event_seen.wait()
        await asyncio.sleep(COALESCE_S)


async def _listen(url: str, token: str, event_seen: asyncio.Event, has_ended: Callable[[], bool]) -> None:
    """Set `event_seen` with each event, reconnecting as often as needed."""
    clock = asyncio.get_running_loop().time
    pause_s, last_contact_at = RETRY_FIRST_S, clock()
    while True:
        if has_ended():  # before the token is sent: another program may use the port now
            raise ServerGoneError(f"the server at {url} has ended")
        try:
            async for _event in _events(url, token):
                pause_s, last_contact_at = RETRY_FIRST_S, clock()
                event_seen.set()
        except (OSError, TimeoutError, WebSocketException) as error:
            log.info("no connection, will be tried again", reason=_reason(error))
        if clock() - last_contact_at > AWAY_MOST_S or has_ended():
            raise ServerGoneError(f"no server answers at {url}")
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come at once
        pause_s = min(pause_s * 2, RETRY_MOST_S)


async def _events(url: str, token: str) -> Any:
    """Yield None for each event of one connection, and when it is subscribed: events may have been missed."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{url.replace('http', 'ws', 1)}/v1/ws"
    async with connect(
        address, additional_headers=headers, compression=None, max_size=None, proxy=None, open_timeout=OPEN_S
    ) as socket:
        await socket.send(json.dumps({"type": "subscribe", "id": "wake", "types": list(TYPES)}))
        async for frame in socket:
            start = frame[:40] if isinstance(frame, str) else ""  # the content of events is not needed
            if start.startswith(('{"type":"subscribed"', '{"type":"event"')):
                yield None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
