"""`repomesh up --detach` and `down`: starts and stops a server in the background, and checks that it did."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.cli.logfile import tail
from repomesh.client.errors import RemoteError
from repomesh.kernel import data_folder
from repomesh.kernel.errors import FAILURES, Conflict, Failure, Unavailable
from repomesh.kernel.limits import STOP_FORCED_S
from repomesh.kernel.own_program import own_program
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.views.server_banner import StartedServer

_START_S = 60.0  # a migration of a large database takes its time
_STOP_S = STOP_FORCED_S + 5.0  # by then a server that is not halted has ended itself
_KILLED_S = 5.0  # for the system to end a process
_TICK_S = 0.05


class StartFailed(Unavailable):
    """The server in the background did not start."""

    code = "start_failed"
    hint = "'repomesh logs' shows why; 'repomesh doctor' finds the usual causes."


class NotAServer(Conflict):
    """The process that uses the data folder is no running server."""

    code = "not_a_server"
    hint = (
        "Another repomesh command uses the folder; wait until it has ended. 'repomesh status' shows its"
        " process."
    )


class StopFailed(Unavailable):
    """The server's process could not be ended."""

    code = "stop_failed"
    hint = (
        "The process waits for a disk or network folder that does not answer. 'kill -9' with its "
        "number ends it."
    )


def start(settings: Settings, options: Sequence[str] = ()) -> StartedServer:
    """Start a server in a process of its own, with `options` of `up`, and wait until it is ready.

    Raises StartFailed, or the RemoteError that the server printed.
    """
    with tempfile.TemporaryFile("w+") as stderr, tempfile.TemporaryFile("w+") as stdout:
        process = subprocess.Popen(  # noqa: S603 - our own words
            own_program("up", "--json", *options),
            env=os.environ | _environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl+C in this terminal must not end the server
        )
        _wait_until_ready(process, settings.data)
        stdout.seek(0)
        stderr.seek(0)
        fields = json.loads(stdout.read() or "null")
        if fields is None:
            raise _start_error(process, settings.data, stderr.read())
    names = StartedServer.__dataclass_fields__
    return StartedServer(**{name: value for name, value in fields.items() if name in names})


def stop(data: Path) -> int | None:
    """Stop the folder's server and return its process id, None when none runs.

    Raises NotAServer and StopFailed.
    """
    pid = _find_server(data)
    if pid is None:
        return None
    _signal(pid, signal.SIGTERM)
    if not _is_gone(data, pid, _STOP_S):
        # The process is halted or its interpreter hangs. Acknowledged writes are on disk.
        _signal(pid, signal.SIGKILL)
        if not _is_gone(data, pid, _KILLED_S):
            raise StopFailed(f"process {pid} is still there, though it was killed")
    note = data_folder.read_server(data)
    if note is not None and note["pid"] == pid:  # left by a server that was killed or ended itself
        folder.forget_server(data)
    return pid


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself meanwhile
        os.kill(pid, number)


def _is_gone(data: Path, pid: int, within_s: float) -> bool:
    """Whether the process releases the data folder within `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while folder.holder(data) == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


def is_ready(url: str) -> bool:
    """Whether the server at `url` answers and its store is ready."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _find_server(data: Path) -> int | None:
    """Return the process id of the server that holds the folder's lock and wrote its note; None if none runs.

    Raises NotAServer for another process that holds the folder.
    """
    deadline = time.monotonic() + 3.0  # a server that is starting writes its note in a moment
    while True:
        pid = folder.holder(data)
        if pid is None:
            return None
        note = data_folder.read_server(data)
        if note is not None and note["pid"] == pid:
            return pid
        if time.monotonic() > deadline:
            raise NotAServer(f"process {pid} holds {data} but serves nothing")
        time.sleep(_TICK_S)


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        note = data_folder.read_server(data)
        if note is not None and note["pid"] == process.pid and is_ready(note["url"]):
            return
        time.sleep(_TICK_S)


def _start_error(process: subprocess.Popen[bytes], data: Path, stderr: str) -> Exception:
    """Return the error of a failed start; a server that neither ends nor answers is terminated."""
    if process.poll() is None:
        process.terminate()
        reason = f"the server did not answer within {_START_S:.0f} s"
    else:
        reason = f"the server ended with code {process.returncode}"
    try:
        printed = json.loads(stderr.strip().splitlines()[-1])
        status = FAILURES[Failure(printed["failure"])].http
        return RemoteError(status, printed["code"], printed["message"], printed["hint"])
    except (ValueError, LookupError, TypeError):  # it did not print an error of repomesh
        log = tail(data / data_folder.LOG, 10)
        return StartFailed("\n".join(part for part in (reason, stderr.strip(), log) if part))


def _environment(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables, since every user can read the arguments of a process."""
    values = {
        "REPOMESH_DATA": str(settings.data),
        "REPOMESH_HOST": settings.host,
    }
    if "port" in settings.model_fields_set:  # else the server takes its last port, or a free one
        values["REPOMESH_PORT"] = str(settings.port)
    if settings.database_url is not None:
        values["REPOMESH_DATABASE_URL"] = settings.database_url
    if settings.public_url is not None:
        values["REPOMESH_PUBLIC_URL"] = settings.public_url
    return values
