"""Binds the server's port before anything else is opened, and finds out which process uses a busy one."""

from __future__ import annotations

import errno
import http.client
import json
import socket

from repomesh.kernel.errors import Conflict, InvalidRequest

_TRIED_MAX = 100  # ports tried to find a free one


class PortBusy(Conflict):
    """Another process listens on the port."""

    code = "port_busy"


class CannotListen(InvalidRequest):
    """The server can't listen on the address."""

    code = "cannot_listen"
    hint = "Choose another with --host and --port."


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address.

    Raises PortBusy, which names the process and a free port, and CannotListen for an address that is not of
    this machine.
    """
    bound = _bind_if_free(host, port)
    if bound is None:
        raise PortBusy(
            f"port {port} of {host} is used by {_occupant(host, port)}",
            hint=f"Give another: --port {_find_free_port(host, port)}",
            port=port,
        )
    return bound


def listen_near(host: str, port: int) -> tuple[socket.socket, str | None]:
    """Return a socket bound to the port or to the next free one, and a note on the latter.

    Raises CannotListen.
    """
    bound = _bind_if_free(host, port)
    if bound is not None:
        return bound, None
    fallback = listen(host, _find_free_port(host, port))
    fallback_port = fallback.getsockname()[1]
    return (
        fallback,
        f"Port {port} is used by {_occupant(host, port)}; this server listens on {fallback_port}.",
    )


def url_of(bound: socket.socket) -> str:
    """Return the URL by which clients on this machine reach a bound socket."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_if_free(host: str, port: int) -> socket.socket | None:
    try:
        return _bind(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            reason = error.strerror or str(error)
            raise CannotListen(f"can't listen on {host} port {port}: {reason}") from None
        return None


def _bind(host: str, port: int) -> socket.socket:
    family, type_, protocol, _name, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, type_, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _find_free_port(host: str, port: int) -> int:
    """Return the next free port, or 0 (the system chooses one) if none of _TRIED_MAX is free."""
    for candidate in range(port + 1, min(port + _TRIED_MAX, 65_536)):
        try:
            _bind(host, candidate).close()
        except OSError:
            continue
        return candidate
    return 0


def _occupant(host: str, port: int) -> str:
    """Return in words which program listens there, with its process id if the system shows it."""
    program = "a repomesh server" if _is_ours(host, port) else "another program"
    pid = _listening_pid(port)
    return f"{program} (process {pid})" if pid else program


def _is_ours(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        health = json.loads(connection.getresponse().read(1_000))
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(health, dict) and health.keys() >= {"status", "version"}


def _listening_pid(port: int) -> int | None:
    """Return the process id that listens on a port; None where the system does not show it."""
    import psutil  # slow to load, and only for an error message

    try:
        sockets = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # some systems show sockets to the administrator alone
        return None
    listeners = (
        connection
        for connection in sockets
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    )
    return next((connection.pid for connection in listeners if connection.pid is not None), None)
