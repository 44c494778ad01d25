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

_PARENT_LOOK_S = 1.0  # an agent whose CLI was killed is to be gone before anybody wonders
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")  # by name, since not every system has each


def run(
    url: str,
    token: str,
    agent: str | None,
    *,
    numbered: bool = False,
    served_url: Callable[[], str | None] | None = None,
) -> None:
    """Be the agent `agent`, or one of a free name, until the client closes its pipe or a signal comes.

    With `numbered` another live run may have the name; this one is then 'agent-2' or so. `token` registers
    the agent; from then on the proxy speaks with the token of its own instance. What it sends goes where
    `served_url` says that the server is by then, and nowhere while that is None. It ends with the process
    that started it, whoever else holds the pipe open.
    """
    asyncio.run(_serve(url.rstrip("/"), token, agent, numbered, served_url))


async def _serve(
    url: str, token: str, agent: str | None, numbered: bool, served_url: Callable[[], str | None] | None
) -> None:
    http = httpx.AsyncClient(
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=None),
        trust_env=False,  # the server is near: no proxy of the environment stands between
        verify=url.startswith("https:"),
        event_hooks=redirect_hooks(served_url),
    )
    async with http:
        membership = Membership(http, url, token, agent, numbered=numbered)
        pumping = asyncio.ensure_future(Proxy(http, url, membership, write_line).run(stdin_lines()))
        for name in _SIGNALS:
            if hasattr(signal, name):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), pumping.cancel)
        watching = asyncio.ensure_future(_until_orphaned(os.getppid()))
        await asyncio.wait([pumping, watching], return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        pumping.cancel()
        await asyncio.wait([pumping])
        if not pumping.cancelled():
            pumping.result()


async def _until_orphaned(parent: int) -> None:
    """Return when the process that started this one is gone."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the system tells nobody
        await asyncio.sleep(_PARENT_LOOK_S)
