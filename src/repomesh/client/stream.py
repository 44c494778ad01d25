"""The event log as it grows: every event once and in order, across broken connections and restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx

from repomesh.client.catalogue import operation
from repomesh.client.client import Client, query
from repomesh.client.errors import RemoteError, ServerUnreachable

PAUSE_S = 1.0
SILENCE_S = 40.0  # the server sends a sign of life at least every 15 s
_RETRYABLE_CODES = frozenset({"slow_consumer", "server_stopping", "unavailable", "too_many_streams"})

Frame = tuple[str, str, str]
"""The id, the type and the data of one frame."""


async def follow(
    client: Client, *, after: int | None = None, patience_s: float = 60.0, **criteria: Any
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the events that match, from behind `after` or from now on, without end.

    Close it (`contextlib.aclosing`) to stop, which closes the connection.

    Raises RemoteError when the server refuses, and ServerUnreachable when it is away for `patience_s`.
    """
    position = after
    away_s = 0.0
    while True:
        try:
            async with aclosing(_read_frames(client, position, criteria)) as frames:
                async for id_, type_, data in frames:
                    away_s = 0.0
                    if type_ == "closed":
                        _raise_unless_retryable(json.loads(data))
                        break
                    position = int(id_)
                    if type_ != "position":
                        yield json.loads(data)
        except httpx.TransportError as error:
            if away_s >= patience_s:
                raise ServerUnreachable(f"no answer from {client.url} for {away_s:.0f} s") from error
        except RemoteError as refusal:
            if refusal.code not in _RETRYABLE_CODES or away_s >= patience_s:
                raise
        await asyncio.sleep(PAUSE_S)
        away_s += PAUSE_S


def _raise_unless_retryable(problem: dict[str, Any]) -> None:
    """Raise RemoteError for the problem with which the server closed a stream, unless it may be reopened."""
    if problem.get("code") not in _RETRYABLE_CODES:
        raise RemoteError.from_problem(int(problem.get("status", 500)), problem)


async def _read_frames(
    client: Client, position: int | None, criteria: dict[str, Any]
) -> AsyncGenerator[Frame]:
    headers = {} if position is None else {"Last-Event-ID": str(position)}
    path = operation("event.stream").path
    timeout = httpx.Timeout(SILENCE_S, connect=5.0)
    async with client.http.stream(
        "GET", path, params=query(criteria), headers=headers, timeout=timeout
    ) as response:
        if not response.is_success:
            await response.aread()
            raise RemoteError.from_response(response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise RemoteError.not_repomesh(response.status_code)
        incomplete = b""
        async for chunk in response.aiter_bytes():
            # Split by hand: `aiter_lines` also splits at U+2028 and its like, which texts may hold.
            *frames, incomplete = (incomplete + chunk).split(b"\n\n")
            for frame in frames:
                fields = dict(line.split(": ", 1) for line in frame.decode().split("\n") if ": " in line)
                if "data" in fields:
                    yield fields.get("id", "0"), fields.get("event", "message"), fields["data"]
