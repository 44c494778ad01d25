"""Runs the daemon of a data folder until a signal comes or its server is gone."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import structlog

from repomesh.client.client import Client
from repomesh.client.discovery import Address
from repomesh.client.errors import RemoteError
from repomesh.daemon.background import hold_lock
from repomesh.daemon.waker import Waker
from repomesh.daemon.watch import ServerGoneError, watch
from repomesh.kernel import data_folder

log = structlog.get_logger("repomesh.daemon")


def run(data: Path, address: Address) -> bool:
    """Run the daemon until a signal comes or the server is gone; returns False if another one runs."""
    with hold_lock(data) as is_holder:
        if is_holder:
            asyncio.run(_run(data, address))
        return is_holder


async def _run(data: Path, address: Address) -> None:
    assert address.token is not None, "found with a token"
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(signal_number, task.cancel)
    # It acts as no agent: the server must not take its calls for signs of life of those that it wakes.
    async with Client(address.url, address.token, served_url=address.served_url) as client:
        log.info("watching", url=address.url)
        try:
            await watch(address.url, address.token, Waker(client, data).wake_due, lambda: _has_ended(address))
        except (ServerGoneError, RemoteError) as error:
            log.info("ended", reason=str(error))
        except asyncio.CancelledError:
            log.info("ended", reason="asked to")


def _has_ended(address: Address) -> bool:
    """Whether the folder's server has ended; starting it again starts the daemon, too.

    False for a remote server, which may come back.
    """
    if address.data is None:
        return False
    note = data_folder.running_server(address.data)
    return note is None or note["url"] != address.url
