"""A hook's process, and servers of its own kind that it meets: real ones, on real sockets."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from repomesh.connect import hook_main
from repomesh.kernel import trust
from repomesh.store import folder as store_folder

HOOK = Path(hook_main.__file__)
DEADLINE_S = 20.0  # of the test, which only a hanging hook reaches


def hold(data: Path) -> IO[bytes]:
    """Hold a data folder's lock, as its server does, until the file is closed."""
    file = (data / "lock").open("w+b", buffering=0)
    os.fchmod(file.fileno(), 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(f"{os.getpid()}\n".encode())
    return file


@dataclass
class Place:
    """A repository whose data folder says that a server listens at `port`."""

    folder: Path
    cli: str = "claude"
    port: int = 1
    held: list[IO[bytes]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / ".repomesh"

    @property
    def log(self) -> str:
        path = self.data / "hooks.log"
        return path.read_text() if path.exists() else ""

    @property
    def record(self) -> Path:
        """The folder of the data folder's record, outside of the repository."""
        found = trust.record_of(self.data)
        assert found is not None
        return found

    @property
    def marker(self) -> Path:
        return self.record / "connect" / f"{self.cli}.json"

    def make(self, **marker: object) -> Place:
        store_folder.prepare(self.data)
        store_folder.write_secret(self.data / "token", "rpm_secret")
        self.marker.parent.mkdir()
        self.mark(**marker)
        return self.serve(self.port)

    def mark(self, **marker: object) -> None:
        self.marker.write_text(json.dumps({"cli": self.cli} | marker))

    def serve(self, port: int) -> Place:
        store_folder.write_server(self.data, os.getpid(), f"http://127.0.0.1:{port}", "0")
        if not self.held:
            self.held.append(hold(self.data))
        return self

    def hook(
        self, event: str = "Stop", stdin: bytes = b"{}", cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """What the CLI gets from its hook."""
        return subprocess.run(
            [sys.executable, "-I", "-S", str(HOOK), self.cli, event],
            input=stdin,
            cwd=cwd or self.folder,
            env=environment() | env,
            capture_output=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def silent(self, event: str = "Stop", stdin: bytes = b"{}", cwd: Path | None = None, **env: str) -> str:
        """The log after a hook that must have done no harm."""
        done = self.hook(event, stdin, cwd, **env)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return self.log


def environment() -> dict[str, str]:
    ours = ("REPOMESH_", "CLAUDE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@dataclass
class Server:
    """Listens, and treats each connection as `treat` does; `requests` holds what came."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def head(self) -> dict[str, str]:
        lines = self.requests[-1].partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines)

    @property
    def target(self) -> str:
        return self.requests[-1].split(b" ", 2)[1].decode()

    @property
    def body(self) -> bytes:
        return self.requests[-1].partition(b"\r\n\r\n")[2]


@contextmanager
def serving(treat: Callable[[socket.socket, Server], None], port: int = 0) -> Iterator[Server]:
    listening = socket.create_server(("127.0.0.1", port))
    server = Server(listening.getsockname()[1])
    held: list[socket.socket] = []

    def loop() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                held.append(connection)
                with suppress(OSError):
                    treat(connection, server)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in held:
            connection.close()
        thread.join()


def read_request(connection: socket.socket, server: Server) -> None:
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    while len(body) < length:
        body += connection.recv(65_536)
    server.requests.append(head + b"\r\n\r\n" + body)


def answering(raw: bytes) -> Callable[[socket.socket, Server], None]:
    """Reads a whole request, writes `raw` and hangs up."""

    def treat(connection: socket.socket, server: Server) -> None:
        read_request(connection, server)
        connection.sendall(raw)
        connection.close()

    return treat


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
