"""`repomesh mcp`: the proxy between this process's pipes and the server."""

from __future__ import annotations

import asyncio
import signal

import httpx

from repomesh.proxy.membership import CONNECT_S, Membership
from repomesh.proxy.pump import SILENCE_S, Proxy, stdin_lines, write_line

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")  # by name, since not every system has each


def run(url: str, token: str, agent: str | None) -> None:
    """Be the agent `agent`, or one of a free name, until the client closes its pipe or a signal comes.

    `token` registers the agent; from then on the proxy speaks with the token of its own instance.
    """
    asyncio.run(_serve(url.rstrip("/"), token, agent))


async def _serve(url: str, token: str, agent: str | None) -> None:
    http = httpx.AsyncClient(
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=None),
        trust_env=False,  # the server is near: no proxy of the environment stands between
        verify=url.startswith("https:"),
    )
    async with http:
        membership = Membership(http, url, token, agent)
        pumping = asyncio.ensure_future(Proxy(http, url, membership, write_line).run(stdin_lines()))
        for name in _SIGNALS:
            if hasattr(signal, name):
                asyncio.get_running_loop().add_signal_handler(getattr(signal, name), pumping.cancel)
        await asyncio.wait([pumping])
        if not pumping.cancelled():
            pumping.result()
