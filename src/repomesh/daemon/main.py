"""The daemon's life: one for each data folder, from its first look until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog

from repomesh.client.client import Client
from repomesh.client.discovery import Address
from repomesh.client.errors import RemoteError
from repomesh.daemon.background import held
from repomesh.daemon.waker import Waker
from repomesh.daemon.watch import ServerGoneError, watch
from repomesh.kernel import data_folder

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
    async with Client(address.url, address.token, served_url=address.served_url) as client:
        log.info("watching", url=address.url)
        try:
            await watch(address.url, address.token, Waker(client, data).look, lambda: _moved(address))
        except (ServerGoneError, RemoteError) as error:
            log.info("ended", reason=str(error))
        except asyncio.CancelledError:
            log.info("ended", reason="asked to")


def _moved(address: Address) -> bool:
    """Whether the folder's server has ended; whoever starts it again starts the daemon, too.

    Of a server that lies elsewhere nothing is known but that it may come back.
    """
    if address.data is None:
        return False
    note = data_folder.running_server(address.data)
    return note is None or note["url"] != address.url
