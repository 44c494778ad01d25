"""Commands without a running server: they lock the data folder and run the application in this process.

The client calls the same application that `up` serves, without a socket, so that operations behave as through
a server.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from repomesh.cli import output
from repomesh.client import discovery
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import NotFound
from repomesh.store import folder

if TYPE_CHECKING:
    from repomesh.client.client import Client

PATIENCE_S: Final = 15.0
"""Seconds to wait for another command that holds the data folder, or for a server that starts."""


class FolderBusy(folder.FolderInUse):
    """Another command uses the database, or a server is starting, and takes too long."""

    code = "data_folder_busy"
    hint = "Wait until it is done, or start a server with 'repomesh up': commands then need not wait."


class NoDataFolder(NotFound):
    """There is no data folder here yet, and reading does not make one."""

    code = "no_data_folder"
    hint = (
        "'repomesh up' makes one, and so does the first command that writes, such as 'repomesh memory store'."
    )


def require_data_folder(data: Path) -> None:
    """Raise NoDataFolder unless a server or a command that writes has made the data folder."""
    if trust.require(data) is None:
        raise NoDataFolder(f"there is no data folder {data}")


@contextmanager
def hold_folder(data: Path) -> Iterator[bool]:
    """Lock the data folder and yield True; yield False if a running server holds it.

    Raises FolderBusy when another process that is no running server holds it for PATIENCE_S.
    """
    with ExitStack() as stack:
        yield _try_to_hold(stack, data)


def _try_to_hold(stack: ExitStack, data: Path) -> bool:
    if data_folder.running_server(data) is not None:
        return False
    import_module("repomesh.app")  # slow, so it is done before the folder is locked
    os.umask(0o077)  # what lies in the data folder is its owner's alone
    folder.prepare(data)
    try:
        stack.enter_context(folder.hold(data, PATIENCE_S))
    except folder.FolderInUse as busy:
        if busy.details["url"] is None:
            raise FolderBusy(busy.message, **busy.details) from None
        return False
    return True


@asynccontextmanager
async def open_client(data: Path, agent: str | None) -> AsyncIterator[Client]:
    """Yield a client of a server in this process, on a data folder that this process has locked."""
    import httpx

    from repomesh.cli.up import open_server, read_settings
    from repomesh.client.client import Client

    is_new = not (data / data_folder.TOKEN).exists()
    server, notes = open_server(read_settings({"data": data}))
    for note in [f"Made the data folder {data}."] if is_new else notes:
        output.print_note(note)
    async with server.without_workers():
        address = discovery.find(url=_HERE, agent=agent, data=data)
        token = address.token or data_folder.read_secret(data / data_folder.TOKEN)
        transport = httpx.ASGITransport(server.asgi)
        async with Client(_HERE, token, address.agent, transport) as client:
            yield client


_HERE: Final = "http://localhost"
