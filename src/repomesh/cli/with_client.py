"""What commands share that ask a server something."""

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


def ask(
    work: Callable[[Client], Awaitable[T]],
    *,
    url: str | None = None,
    agent: str | None = None,
    or_alone: bool = False,
    writes: bool = False,
) -> T:
    """Run `work` with a client of the server that is found from here.

    With `or_alone` and no server it works on the store of the data folder, which it holds meanwhile; a data
    folder is made only by what `writes`, else NoDataFolder is raised.
    """
    from repomesh.client.client import Client

    if not or_alone or url or os.environ.get("REPOMESH_URL"):
        return asyncio.run(_done(work, lambda: Client.discovered(url=url, agent=agent)))
    data = data_folder.data_folder(Path.cwd())
    if not writes and not os.environ.get("REPOMESH_DATABASE_URL"):
        offline.require_made(data)
    with offline.held(data) as free:
        if free:
            return asyncio.run(_done(work, lambda: offline.client(data, agent)))
    return asyncio.run(_done(work, lambda: Client.discovered(agent=agent, data=data)))


async def _done(
    work: Callable[[Client], Awaitable[T]], client: Callable[[], AbstractAsyncContextManager[Client]]
) -> T:
    async with client() as speaking:
        try:
            return await work(speaking)
        except RemoteError as error:
            raise await near_names.named(speaking, error) from None
