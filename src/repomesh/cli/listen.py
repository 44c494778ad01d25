"""The port: taken before anything else is opened, and when it is busy, who has it."""

from __future__ import annotations

import errno
import http.client
import json
import socket
from pathlib import Path

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
    """A socket bound to the address; raises PortBusy with who has it and a command that works."""
    try:
        return _bound(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            reason = error.strerror or str(error)
            raise CannotListen(f"can't listen on {host} port {port}: {reason}") from None
    raise PortBusy(
        f"port {port} of {host} is used by {_occupant(host, port)}",
        hint=f"Use a free one: repomesh up --port {_free(host, port)}",
        port=port,
    )


def url_of(bound: socket.socket) -> str:
    """The URL under which clients on this machine reach a bound socket."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
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


def _free(host: str, port: int) -> int:
    """The next port that is free; 0, by which the system chooses one, when none is near."""
    for candidate in range(port + 1, min(port + _TRIED_MAX, 65_536)):
        try:
            _bound(host, candidate).close()
        except OSError:
            continue
        return candidate
    return 0


def _occupant(host: str, port: int) -> str:
    """Who listens there, as far as it can be told."""
    what = "a repomesh server" if _is_ours(host, port) else "another program"
    pid = _listener(port)
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


def _listener(port: int) -> int | None:
    """The process that listens on a port, on Linux and among one's own processes."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        lines = _lines(Path("/proc/net") / table)[1:]
        rows = [line.split() for line in lines]
        inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(each.readlink()) in wanted for each in descriptors.iterdir()):
                return int(descriptors.parent.name)
        except OSError:  # another user's process, or one that has just ended
            continue
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # no /proc on this system
        return []
