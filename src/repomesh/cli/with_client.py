"""Runs a coroutine with a client: of the server found from here, or of the store alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from repomesh.cli import near_names, offline
from repomesh.client.errors import RemoteError
from repomesh.kernel import data_folder

if TYPE_CHECKING:
    from repomesh.client.client import Client

T = TypeVar("T")

WITHOUT_SERVER = frozenset({"session", "chunk", "memory", "artifact", "search"})
"""Nouns whose commands work on the store alone when no server runs."""


def run_with_client(
    work: Callable[[Client], Awaitable[T]],
    *,
    url: str | None = None,
    agent: str | None = None,
    allow_offline: bool = False,
    writes: bool = False,
) -> T:
    """Run `work` with a client of the server that is found from here, and return its result.

    With `allow_offline` and no server it works on the store of the data folder, and holds its lock meanwhile.
    Raises NoDataFolder when there is no data folder and the work does not write (`writes`).
    """
    from repomesh.client.client import Client

    if not allow_offline or url or os.environ.get("REPOMESH_URL"):
        return asyncio.run(_run_work(work, lambda: Client.discovered(url=url, agent=agent)))
    data = data_folder.data_folder(Path.cwd())
    if not writes and not os.environ.get("REPOMESH_DATABASE_URL"):
        offline.require_data_folder(data)
    with offline.hold_folder(data) as is_held:
        if is_held:
            return asyncio.run(_run_work(work, lambda: offline.open_client(data, agent)))
    return asyncio.run(_run_work(work, lambda: Client.discovered(agent=agent, data=data)))


async def _run_work(
    work: Callable[[Client], Awaitable[T]], open_client: Callable[[], AbstractAsyncContextManager[Client]]
) -> T:
    async with open_client() as client:
        try:
            return await work(client)
        except RemoteError as error:
            raise await near_names.suggest_names(client, error) from None
