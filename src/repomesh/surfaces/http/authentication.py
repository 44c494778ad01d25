"""Authenticates a request by its headers alone, before its body is read."""

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


def agent_from_header(scope: Scope) -> str | None:
    """The agent that the header X-Repomesh-Agent names; None without the header, or with an empty one.

    Raises InvalidRequest for a value that is neither an agent's name nor an id, and for two different values:
    ignoring it would make another agent act.
    """
    header_values = {value for key, value in scope["headers"] if key == b"x-repomesh-agent" and value.strip()}
    if not header_values:
        return None
    agent: str = header_values.pop().decode("latin-1")
    if header_values:
        raise bad_header("X-Repomesh-Agent", "came with several values")
    if _AGENT.fullmatch(agent) is None:
        raise bad_header(
            "X-Repomesh-Agent",
            f"must be an agent's name or id: 1 to {NAME_CHARS_MAX} of A-Z, a-z, 0-9, '.', '_' and '-', "
            "the first a letter or a digit",
        )
    return agent


def bad_header(name: str, message: str) -> InvalidRequest:
    """Build the error for a malformed header."""
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
    """Return the caller of `authorization`, or of the Authorization header without one.

    Marks the connection as authenticated: it is not closed when places are short, and a WebSocket may send
    messages of up to `message_bytes_max` bytes. Raises Unauthenticated or Forbidden, and InvalidRequest for
    two Authorization headers: a proxy may have checked the other one.
    """
    if sum(name == b"authorization" for name, _value in scope["headers"]) > 1:
        raise bad_header("Authorization", "came more than once")
    caller = await gateway.authenticate(authorization or header(scope, b"authorization"), agent)
    mark_authenticated(scope, message_bytes_max)
    return caller


def mark_authenticated(scope: Scope, message_bytes_max: int = 0) -> None:
    """Mark the connection of `scope` as authenticated, where the web server supports that."""
    connection = (scope.get("extensions") or {}).get(CONNECTION)
    if connection is not None:
        connection.mark_authenticated(message_bytes_max)
