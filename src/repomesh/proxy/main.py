"""`repomesh mcp`: the proxy between this process's pipes and the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import httpx

from repomesh.kernel.running_server import redirect_hooks
from repomesh.proxy.membership import CONNECT_S, Membership
from repomesh.proxy.pump import SILENCE_S, Proxy, stdin_lines, write_line

_PARENT_LOOK_S = 1.0  # an agent whose CLI was killed must leave soon
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")  # by name, since not every system has all of them


def run(
    url: str,
    token: str,
    agent: str | None,
    *,
    numbered: bool = False,
    served_url: Callable[[], str | None] | None = None,
) -> None:
    """Run the proxy as the agent `agent`, or one with a free name, until its pipe closes or a signal comes.

    With `numbered` another live run may have the name; this one is then 'agent-2' or so. `token` registers
    the agent; after that the proxy uses the token of its own instance. Requests go only to the URL that
    `served_url` returns, and nowhere while that is None. The proxy also ends when its parent process ends,
    even if another process holds the pipe open.
    """
    asyncio.run(_serve(url.rstrip("/"), token, agent, numbered, served_url))


async def _serve(
    url: str, token: str, agent: str | None, numbered: bool, served_url: Callable[[], str | None] | None
) -> None:
    http = httpx.AsyncClient(
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=None),
        trust_env=False,  # no HTTP proxy of the environment is between
        verify=url.startswith("https:"),
        event_hooks=redirect_hooks(served_url),
    )
    async with http:
        membership = Membership(http, url, token, agent, numbered=numbered)
        proxy_task = asyncio.ensure_future(Proxy(http, url, membership, write_line).run(stdin_lines()))
        for name in _SIGNALS:
            if hasattr(signal, name):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), proxy_task.cancel)
        orphan_task = asyncio.ensure_future(_wait_until_orphaned(os.getppid()))
        await asyncio.wait([proxy_task, orphan_task], return_when=asyncio.FIRST_COMPLETED)
        orphan_task.cancel()
        proxy_task.cancel()
        await asyncio.wait([proxy_task])
        if not proxy_task.cancelled():
            proxy_task.result()


async def _wait_until_orphaned(parent: int) -> None:
    """Return when the process that started this one is gone."""
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(_PARENT_LOOK_S)
