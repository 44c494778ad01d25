"""The port: taken before anything else is opened, and when it is busy, who has it."""

from __future__ import annotations

import errno
import http.client
import json
import socket

from repomesh.kernel.errors import Conflict, InvalidRequest

_TRIED_MAX = 100  # ports looked at to find a free one


class PortBusy(Conflict):
    """Another process listens on the port."""

    code = "port_busy"


class CannotListen(InvalidRequest):
    """The address can't be listened on."""

    code = "cannot_listen"
    hint = "Choose another with --host and --port."


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address.

    Raises PortBusy with who has the port and a command that works; CannotListen for an address that is none
    of this machine's.
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
    """A socket bound to the port or, when that is busy, to the next free one; and what to say of that.

    Raises CannotListen.
    """
    bound = _bind_if_free(host, port)
    if bound is not None:
        return bound, None
    other = listen(host, _find_free_port(host, port))
    taken = other.getsockname()[1]
    return other, f"Port {port} is used by {_occupant(host, port)}; this server listens on {taken}."


def url_of(bound: socket.socket) -> str:
    """The URL under which clients on this machine reach a bound socket."""
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
    made = socket.socket(family, type_, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _find_free_port(host: str, port: int) -> int:
    """The next port that is free; 0, by which the system chooses one, when none is near."""
    for candidate in range(port + 1, min(port + _TRIED_MAX, 65_536)):
        try:
            _bind(host, candidate).close()
        except OSError:
            continue
        return candidate
    return 0


def _occupant(host: str, port: int) -> str:
    """Who listens there, as far as it can be told."""
    what = "a repomesh server" if _is_ours(host, port) else "another program"
    pid = _listening_pid(port)
    return f"{what} (process {pid})" if pid else what


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
    """The process that listens on a port; None where the system does not show it to this user."""
    import psutil  # only for the words of a refusal

    try:
        sockets = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # some systems show sockets to the administrator alone
        return None
    listening = (each for each in sockets if each.status == psutil.CONN_LISTEN and each.laddr.port == port)
    return next((each.pid for each in listening if each.pid is not None), None)
