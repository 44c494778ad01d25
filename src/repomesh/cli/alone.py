"""Commands on the store alone: with no server running they hold its data folder and are one for themselves.

The client speaks to the same application that `up` serves, in this process and without a socket, so that
nothing is done in another way than through a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from repomesh.cli import output
from repomesh.client import discovery
from repomesh.kernel import places
from repomesh.store import folder

if TYPE_CHECKING:
    from repomesh.client.client import Client

PATIENCE_S: Final = 15.0
"""How long a command waits for another that holds the data folder, or for a server that starts."""


class FolderBusy(folder.FolderInUse):
    """Another command works on the store alone, and takes long; or a server starts, and takes long."""

    code = "data_folder_busy"
    hint = "Wait until it is done, or start a server with 'repomesh up': commands then need not wait."


@contextmanager
def held(data: Path) -> Iterator[bool]:
    """Hold the data folder inside and give True; give False when a server does, which is to be asked.

    Raises FolderBusy when another process holds it for long and is no server that answers.
    """
    with ExitStack() as stack:
        yield _taken(stack, data)


def _taken(stack: ExitStack, data: Path) -> bool:
    if _is_served(data):
        return False
    import_module("repomesh.app")  # takes the most time by far, in which others may have the folder
    folder.prepare(data)
    try:
        stack.enter_context(folder.held(data, PATIENCE_S))
    except folder.FolderInUse as busy:
        if busy.details["url"] is None:
            raise FolderBusy(busy.message, **busy.details) from None
        return False
    return True


def _is_served(data: Path) -> bool:
    note = places.read_server(data)
    return note is not None and note["pid"] == folder.holder(data)


@asynccontextmanager
async def client(data: Path, agent: str | None) -> AsyncIterator[Client]:
    """A client of a server in this process, on a data folder that is held."""
    import httpx

    from repomesh.cli.up import opened, read_settings
    from repomesh.client.client import Client

    is_new = not (data / places.TOKEN).exists()
    server, notes = opened(read_settings({"data": data}))
    for note in [f"Made the data folder {data}."] if is_new else notes:
        output.note(note)
    async with server.alone():
        address = discovery.find(url=_HERE, agent=agent, data=data)
        token = address.token or places.read_secret(data / places.TOKEN)
        transport = httpx.ASGITransport(server.asgi)
        async with Client(_HERE, token, address.agent, transport) as speaking:
            yield speaking


_HERE: Final = "http://localhost"
