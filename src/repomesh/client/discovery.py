"""Which server to speak to: what the environment names, else the one of the repository one stands in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.client.errors import ServerNotFound, UnusableAddress
from repomesh.kernel import data_folder, trust


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers, and who speaks to it. `data` is its folder when it was found by that.

    Where nobody named the URL (`named` is false), nothing is sent there unless the folder's server runs.
    """

    url: str
    token: str | None
    agent: str | None = None
    data: Path | None = None
    named: bool = True

    def served_url(self) -> str | None:
        """Where the token may be sent now: the URL that was named, else where the folder's server listens.

        None while that does not run.
        """
        if self.named or self.data is None:
            return self.url
        note = data_folder.running_server(self.data)
        return note["url"] if note is not None else None


def find(
    *,
    url: str | None = None,
    token: str | None = None,
    agent: str | None = None,
    acts: bool = True,
    start: Path | None = None,
    data: Path | None = None,
) -> Address:
    """The server to use.

    Raises ServerNotFound with the command that starts one, UntrustedFolder, and UnusableAddress for a URL, a
    token or an agent that can't be one.

    `data` is the folder to look into, else that of the repository around `start`. Without `acts` no agent is
    named, whatever the environment says. `url` and `agent` win over
    REPOMESH_URL and REPOMESH_AGENT; the token is REPOMESH_TOKEN's, else the one in the data folder, which is
    never sent to any server but the folder's own. A URL that nobody named is that of a server that runs.
    """
    url = (url or os.environ.get("REPOMESH_URL") or "").rstrip("/").removesuffix("/v1") or None
    token = token or os.environ.get("REPOMESH_TOKEN")
    agent = (agent or os.environ.get("REPOMESH_AGENT")) if acts else None
    _require_usable(url, token, agent)
    if url and token:
        return Address(url.rstrip("/"), token, agent)
    data = data or data_folder.data_folder(start or Path.cwd())
    trust.require(data)
    own = data_folder.read_secret(data / data_folder.TOKEN)
    if url:
        note = data_folder.read_server(data)
        here = note is not None and same_server(url, note["url"])
        return Address(url.rstrip("/"), own if here else None, agent, data if here else None)
    note = data_folder.running_server(data)
    if note is None:
        state = "is not running" if own else "was never started"
        raise ServerNotFound(f"the server of {data.parent} {state}")
    return Address(note["url"], token or own, agent, data, named=False)


def _require_usable(url: str | None, token: str | None, agent: str | None) -> None:
    """Raise UnusableAddress for what the HTTP library would fail at, each with an exception of its own."""
    if url:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port or an IPv6 address that is none
            usable = False
        if not (usable and url.isprintable() and " " not in url):
            raise UnusableAddress(f"'{url}' is no server's URL")
    for name, value in (("token", token), ("agent's name", agent)):
        if value and not (value.isascii() and value.isprintable()):
            raise UnusableAddress(f"the {name} holds characters that none has")


def same_server(one: str, other: str) -> bool:
    """Whether two URLs lead to one server; 'localhost' is 127.0.0.1."""
    first, second = urlsplit(one), urlsplit(other)
    names = {_canonical(first.hostname), _canonical(second.hostname)}
    return first.scheme == second.scheme and first.port == second.port and len(names) == 1


def _canonical(host: str | None) -> str:
    return "127.0.0.1" if host == "localhost" else (host or "").lower()
