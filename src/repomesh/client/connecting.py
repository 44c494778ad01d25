"""How a program opens the typed client: `connect` for asyncio, `connect_sync` for blocking code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from repomesh.client.client import Client
from repomesh.client.generated.async_mesh import AsyncMesh

if TYPE_CHECKING:
    from repomesh.client.generated.sync_mesh import SyncMesh


def connect(
    *, url: str | None = None, token: str | None = None, agent: str | None = None, data: Path | None = None
) -> AsyncMesh:
    """Return a client to be used with `async with`.

    Without arguments it uses the server that `repomesh` commands would use: that of REPOMESH_URL and
    REPOMESH_TOKEN, else the one that runs for this folder's repository. `url`, `token` and `agent` (a name or
    an id) take precedence over the environment; `data` is another data folder to look into.

    Raises:
        ServerNotFound: No server runs for this folder, and none is named.
        UnusableAddress: The URL, token or agent is malformed.
        UntrustedFolder: The data folder was not created by this user on this machine.
    """
    return AsyncMesh(Client.discovered(url=url, token=token, agent=agent, data=data))


def connect_sync(
    *, url: str | None = None, token: str | None = None, agent: str | None = None, data: Path | None = None
) -> SyncMesh:
    """Return a client to be used with `with`, whose methods block.

    Arguments and errors are those of `connect`. Its requests run on an event loop in a thread of
    its own; threads may share one client.
    """
    from repomesh.client.generated.sync_mesh import SyncMesh

    return SyncMesh(connect(url=url, token=token, agent=agent, data=data))
