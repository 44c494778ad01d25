"""Finds the server to use: the one that the environment names, else that of the current repository."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.client.errors import ServerNotFound, UnusableAddress
from repomesh.kernel import data_folder, trust


@dataclass(frozen=True, slots=True)
class Address:
    """A server's URL, the token and the agent to use. `data` is its folder when it was found by that.

    Where the URL was not named (`named` is false), nothing is sent there unless the folder's server runs.
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
    named, whatever the environment says. `url` and `agent` take precedence over
    REPOMESH_URL and REPOMESH_AGENT; the token is REPOMESH_TOKEN's, else the one in the data folder, which is
    never sent to any server but the folder's own. A URL that was not named is that of a server that runs.
    """
    url = (url or os.environ.get("REPOMESH_URL") or "").rstrip("/").removesuffix("/v1") or None
    token = token or os.environ.get("REPOMESH_TOKEN")
    agent = (agent or os.environ.get("REPOMESH_AGENT")) if acts else None
    _require_usable(url, token, agent)
    if url and token:
        return Address(url.rstrip("/"), token, agent)
    data = data or data_folder.data_folder(start or Path.cwd())
    trust.require(data)
    own_token = data_folder.read_secret(data / data_folder.TOKEN)
    if url:
        note = data_folder.read_server(data)
        is_own_server = note is not None and same_server(url, note["url"])
        return Address(
            url.rstrip("/"), own_token if is_own_server else None, agent, data if is_own_server else None
        )
    note = data_folder.running_server(data)
    if note is None:
        state = "is not running" if own_token else "was never started"
        raise ServerNotFound(f"the server of {data.parent} {state}")
    return Address(note["url"], token or own_token, agent, data, named=False)


def _require_usable(url: str | None, token: str | None, agent: str | None) -> None:
    """Raise UnusableAddress for values at which the HTTP library would raise various exceptions."""
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


def same_server(first_url: str, second_url: str) -> bool:
    """Whether two URLs lead to one server; 'localhost' is 127.0.0.1."""
    first_parts, second_parts = urlsplit(first_url), urlsplit(second_url)
    names = {_canonical(first_parts.hostname), _canonical(second_parts.hostname)}
    return (
        first_parts.scheme == second_parts.scheme
        and first_parts.port == second_parts.port
        and len(names) == 1
    )


def _canonical(host: str | None) -> str:
    return "127.0.0.1" if host == "localhost" else (host or "").lower()
