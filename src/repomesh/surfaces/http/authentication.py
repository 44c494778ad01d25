"""Who a request speaks for, by its headers alone: nothing of a body is read before."""

from __future__ import annotations

import re
from typing import Final

from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.identity import Caller
from repomesh.kernel.limits import NAME_CHARS_MAX
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Scope, header
from repomesh.surfaces.http.connections import CONNECTION

_AGENT: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS_MAX - 1}}}")


def named_agent(scope: Scope) -> str | None:
    """The agent that the header X-Repomesh-Agent names; None without the header, or with an empty one.

    Raises InvalidRequest for what is neither an agent's name nor an id, and for two different values: to
    leave it out of account would have somebody else act.
    """
    named = {value for key, value in scope["headers"] if key == b"x-repomesh-agent" and value.strip()}
    if not named:
        return None
    agent: str = named.pop().decode("latin-1")
    if named:
        raise bad_header("X-Repomesh-Agent", "came with several values")
    if _AGENT.fullmatch(agent) is None:
        raise bad_header(
            "X-Repomesh-Agent",
            f"must be an agent's name or id: 1 to {NAME_CHARS_MAX} of A-Z, a-z, 0-9, '.', '_' and '-', "
            "the first a letter or a digit",
        )
    return agent


def bad_header(name: str, message: str) -> InvalidRequest:
    """What to raise for a header that is malformed."""
    return InvalidRequest(
        f"{name}: {message}", errors=[{"field": name, "message": message, "type": "header"}]
    )


async def authenticate(
    gateway: Gateway,
    scope: Scope,
    agent: str | None = None,
    authorization: str | None = None,
    message_bytes_max: int = 0,
) -> Caller:
    """The caller behind the Authorization header, or credentials that came in another way.

    From then on its connection is not among those that are closed when places are short, and a WebSocket may
    send messages of up to `message_bytes_max` bytes. Raises Unauthenticated or Forbidden, and InvalidRequest
    for two Authorization headers: a proxy may have looked at the other one.
    """
    if sum(name == b"authorization" for name, _value in scope["headers"]) > 1:
        raise bad_header("Authorization", "came more than once")
    caller = await gateway.authenticate(authorization or header(scope, b"authorization"), agent)
    mark_authenticated(scope, message_bytes_max)
    return caller


def mark_authenticated(scope: Scope, message_bytes_max: int = 0) -> None:
    """Tell the web server that somebody with a valid token speaks on the connection of `scope`."""
    connection = (scope.get("extensions") or {}).get(CONNECTION)
    if connection is not None:
        connection.authenticated(message_bytes_max)
