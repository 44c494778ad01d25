"""One WebSocket to the server, which says when to look; and the net under it, a look now and then."""

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
"""After these events somebody may have to be woken."""
COALESCE_S: Final = 0.5  # events that come together are one reason to look; two looks a second at most
LOOK_AT_LEAST_EVERY_S: Final = 60.0  # a lost event costs latency, never a message
RETRY_FIRST_S: Final = 0.5
RETRY_MOST_S: Final = 15.0
OPEN_S: Final = 5.0
AWAY_MOST_S: Final = 600.0
"""A server that is away for so long was given up; whoever starts it again starts the daemon, too."""


class ServerGoneError(Exception):
    """The server stayed away, or another one serves in its place."""


async def watch(
    url: str, token: str, look: Callable[[], Awaitable[float | None]], moved: Callable[[], bool]
) -> None:
    """Look at once, after each event that may matter, and when the last look said so; without end.

    Raises ServerGoneError when the server does not answer for AWAY_MOST_S, or does not answer and `moved`
    says that it has ended; RemoteError when it refuses the token.
    """
    stirred = asyncio.Event()
    listening = asyncio.create_task(_listen(url, token, stirred, moved), name="events")
    looking = asyncio.create_task(_look(stirred, look), name="looks")
    try:
        done, _ = await asyncio.wait({listening, looking}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (listening, looking):
            task.cancel()
            with suppress(asyncio.CancelledError, ServerGoneError, RemoteError):
                await task


async def _look(stirred: asyncio.Event, look: Callable[[], Awaitable[float | None]]) -> None:
    while True:
        stirred.clear()
        try:
            again_s = await look()
        except RemoteError as error:
            if error.failure in (Failure.FORBIDDEN, Failure.UNAUTHENTICATED):
                raise
            log.warning("a look failed, will be tried again", reason=str(error))
            again_s = RETRY_MOST_S
        except Exception as error:  # the server or a CLI may fail in any way; the next look may succeed
            log.warning("a look failed, will be tried again", reason=_reason(error))
            again_s = RETRY_MOST_S
        wait_s = LOOK_AT_LEAST_EVERY_S if again_s is None else min(max(again_s, 0.0), LOOK_AT_LEAST_EVERY_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await stirred.wait()
        await asyncio.sleep(COALESCE_S)


async def _listen(url: str, token: str, stirred: asyncio.Event, moved: Callable[[], bool]) -> None:
    """Set `stirred` with each event, over as many connections as it takes."""
    clock = asyncio.get_running_loop().time
    pause_s, since = RETRY_FIRST_S, clock()
    while True:
        if moved():  # before the token is sent: another program may listen there by now
            raise ServerGoneError(f"the server at {url} has ended")
        try:
            async for _event in _events(url, token):
                pause_s, since = RETRY_FIRST_S, clock()
                stirred.set()
        except (OSError, TimeoutError, WebSocketException) as error:
            log.info("no connection, will be tried again", reason=_reason(error))
        if clock() - since > AWAY_MOST_S or moved():
            raise ServerGoneError(f"no server answers at {url}")
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - so that not all come at once
        pause_s = min(pause_s * 2, RETRY_MOST_S)


async def _events(url: str, token: str) -> Any:
    """A sign for each event of one connection, and one when it stands: something may have been missed."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{url.replace('http', 'ws', 1)}/v1/ws"
    async with connect(
        address, additional_headers=headers, compression=None, max_size=None, proxy=None, open_timeout=OPEN_S
    ) as socket:
        await socket.send(json.dumps({"type": "subscribe", "id": "wake", "types": list(TYPES)}))
        async for frame in socket:
            start = frame[:40] if isinstance(frame, str) else ""  # of an event only that it came matters
            if start.startswith(('{"type":"subscribed"', '{"type":"event"')):
                yield None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
