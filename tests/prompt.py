"""Commands at a prompt, each a process of its own that is forked from one with everything loaded.

So a test pays for what a command does and not for what Python imports first. `main` is the program of the
process that has it loaded; it ends with whoever started it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

TIMEOUT_S = 90
_PR_SET_PDEATHSIG = 1  # of prctl(2)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err.strip().splitlines()[-1])


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+")


@dataclass
class Started:
    """A command that goes on. Its output is in files, so that it never waits for a reader."""

    pid: int
    _line: socket.socket
    _out: IO[str]
    _err: IO[str]

    def ended(self) -> bool:
        """Whether it is over."""
        poll = select.poll()  # `select.select` takes no descriptor above 1,023
        poll.register(self._line, select.POLLIN)
        return bool(poll.poll(0))

    def wait(self) -> Done:
        """Wait for its end, and kill it after TIMEOUT_S; raises TimeoutError then."""
        self._line.settimeout(TIMEOUT_S)
        try:
            code = self._line.recv(16)
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            raise
        finally:
            self._line.close()
        with self._out, self._err:
            self._out.seek(0)
            self._err.seek(0)
            return Done(int(code), self._out.read(), self._err.read())


def start(words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str = "") -> Started:
    """Start `repomesh WORDS` in `folder`."""
    order = {"words": list(words), "folder": str(folder), "environment": dict(environment)}
    out, err = _file(), _file()
    line = socket.socket(socket.AF_UNIX)
    line.connect(_loaded())
    with _file() as given:
        given.write(stdin)
        given.seek(0)
        socket.send_fds(line, [b"!"], [given.fileno(), out.fileno(), err.fileno()])
    line.sendall(json.dumps(order).encode())
    line.shutdown(socket.SHUT_WR)
    line.settimeout(TIMEOUT_S)
    return Started(int(line.recv(16)), line, out, err)


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str = "") -> Done:
    """Run `repomesh WORDS` in `folder` to its end."""
    return start(words, folder, environment, stdin).wait()


@cache
def _loaded() -> str:
    """Where the process listens that has everything loaded; it is started once in each process of tests."""
    place = str(Path(tempfile.mkdtemp(prefix="repomesh-prompt-")) / "line")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
    process = subprocess.Popen(
        [sys.executable, __file__, place],
        stdin=subprocess.PIPE,  # closed when this process ends, and so it knows
        stdout=subprocess.PIPE,
        env=environment | {"TYPER_USE_RICH": "0"},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return place


def main(place: str) -> None:
    """Listen, and fork a process for each command."""
    import uvloop  # noqa: F401 - what a server loads when it starts

    import repomesh.app
    import repomesh.cli.main
    import repomesh.cli.root
    import repomesh.cli.serving
    import repomesh.client.client

    for name, entry in repomesh.cli.root.ENTRIES.items():
        if name != "mcp":
            entry.load(name)
    gc.freeze()  # else each command would look through all of it when it ends, and copy it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who watch
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, 0], [], [])
        if 0 in readable:
            Path(place).unlink()
            Path(place).parent.rmdir()
            os._exit(0)
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _command(line)
        line.close()


def _command(line: socket.socket) -> NoReturn:
    """Fork the command, and tell its pid and its exit code."""
    _end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(line, 1, 3)
    text = b"".join(iter(lambda: line.recv(1 << 16), b""))
    pid = os.fork()
    if pid == 0:
        line.close()
        _become(json.loads(text), files)
    line.sendall(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # a test need not wait for what it started
        line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _end_with_parent() -> None:
    """Have this process end with the one that forked it: no server outlives tests that were killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _become(order: dict[str, Any], files: list[int]) -> NoReturn:
    _end_with_parent()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["repomesh", *order["words"]]
    from repomesh.cli.main import main as command

    command()
    raise AssertionError("the command line ends with an exit code")


if __name__ == "__main__":
    main(sys.argv[1])
