"""What commands share that ask a server something."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from repomesh.client.client import Client

T = TypeVar("T")


def ask(work: Callable[[Client], Awaitable[T]], *, url: str | None = None, agent: str | None = None) -> T:
    """Run `work` with a client of the server that is found from here."""

    async def run() -> T:
        from repomesh.client.client import Client

        async with Client.discovered(url=url, agent=agent) as client:
            return await work(client)

    return asyncio.run(run())
