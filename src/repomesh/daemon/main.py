"""The daemon's life: one for each data folder, from its first look until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog

from repomesh.client.client import Client
from repomesh.client.discovery import Address
from repomesh.daemon.background import held
from repomesh.daemon.waker import Waker
from repomesh.daemon.watch import ServerGoneError, watch
from repomesh.kernel import places

log = structlog.get_logger("repomesh.daemon")


def run(data: Path, address: Address) -> bool:
    """Wake CLIs until a signal comes or the server is gone; False when another process does so already."""
    with held(data) as mine:
        if mine:
            asyncio.run(_run(data, address))
        return mine


async def _run(data: Path, address: Address) -> None:
    assert address.token is not None, "found with a token"
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    # Whom it wakes it does not speak for: the server must not take that for a sign of life.
    async with Client(address.url, address.token) as client:
        log.info("watching", url=address.url)
        try:
            await watch(address.url, address.token, Waker(client, data).look, lambda: _moved(address))
        except ServerGoneError as error:
            log.info("ended", reason=str(error))
        except asyncio.CancelledError:
            log.info("ended", reason="asked to")


def _moved(address: Address) -> bool:
    """Whether the folder's server has another address by now; one that only stopped may come back."""
    note = places.read_server(address.data) if address.data is not None else None
    return note is not None and note["url"] != address.url
