"""Which server to speak to: what the environment names, else the one of the repository one stands in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.client.errors import ServerNotFound
from repomesh.kernel import places


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers, and who speaks to it. `data` is its folder when it was found by that."""

    url: str
    token: str | None
    agent: str | None = None
    data: Path | None = None


def find(
    *,
    url: str | None = None,
    agent: str | None = None,
    start: Path | None = None,
    data: Path | None = None,
) -> Address:
    """The server to use; raises ServerNotFound with the command that starts one.

    `data` is the folder to look into, else that of the repository around `start`. `url` and `agent` win over
    REPOMESH_URL and REPOMESH_AGENT; the token is REPOMESH_TOKEN's, else the one in the data folder, which is
    never sent to any server but the folder's own.
    """
    url = url or os.environ.get("REPOMESH_URL")
    token = os.environ.get("REPOMESH_TOKEN")
    agent = agent or os.environ.get("REPOMESH_AGENT")
    if url and token:
        return Address(url.rstrip("/"), token, agent)
    data = data or places.data_folder(start or Path.cwd())
    note = places.read_server(data)
    own = places.read_secret(data / places.TOKEN)
    if url:
        here = note is not None and _same_server(url, note["url"])
        return Address(url.rstrip("/"), own if here else None, agent, data if here else None)
    if note is None:
        state = "is not running" if own else "was never started"
        raise ServerNotFound(f"the server of {data.parent} {state}")
    return Address(note["url"], token or own, agent, data)


def _same_server(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    names = {_canonical(first.hostname), _canonical(second.hostname)}
    return first.scheme == second.scheme and first.port == second.port and len(names) == 1


def _canonical(host: str | None) -> str:
    return "127.0.0.1" if host == "localhost" else (host or "").lower()
