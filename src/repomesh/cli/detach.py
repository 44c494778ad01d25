"""`repomesh up --detach` and `down`: a server in the background, started and stopped with certainty."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.cli.banner import Started
from repomesh.cli.logfile import tail
from repomesh.client.errors import RemoteError
from repomesh.kernel import places
from repomesh.kernel.errors import FAILURES, Conflict, Failure, Unavailable
from repomesh.kernel.settings import Settings
from repomesh.store import folder

_START_S = 60.0  # a migration of a large database takes its time
_STOP_S = 15.0  # a stop takes 3 s at most, plus what the disk needs
_TICK_S = 0.05


class StartFailed(Unavailable):
    """The server in the background did not come up."""

    code = "start_failed"
    hint = "Its log says more; 'repomesh doctor' finds the usual causes."


class NotAServer(Conflict):
    """The process that holds the data folder is no running server."""

    code = "not_a_server"
    hint = "Another repomesh command uses the folder; wait until it is done."


class StopFailed(Unavailable):
    """The server did not stop in time."""

    code = "stop_failed"


def start(settings: Settings) -> Started:
    """Start a server in a process of its own; answers when it is ready, or raises with what it said."""
    complaints = settings.data / f".start.{os.getpid()}"
    with complaints.open("w+") as said, (settings.data / f"{complaints.name}.out").open("w+") as told:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "repomesh.cli.main", "up", "--json"],
                env=os.environ | _environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=said,
                start_new_session=True,  # Ctrl+C in this terminal is not for it
            )
            _wait_until_ready(process, settings.data)
            told.seek(0)
            said.seek(0)
            fields = json.loads(told.read() or "null")
            if fields is None:
                raise _failed(process, settings.data, said.read())
        finally:
            complaints.unlink()
            Path(told.name).unlink()
    names = Started.__dataclass_fields__
    return Started(**{name: value for name, value in fields.items() if name in names})


def stop(data: Path) -> int | None:
    """Stop the folder's server; answers its process id, None when nothing runs."""
    pid = _server(data)
    if pid is None:
        return None
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while folder.holder(data) == pid:
        if time.monotonic() > deadline:
            hint = (
                f"Look into {data / places.LOG}; 'kill -9 {pid}' ends it, and nothing acknowledged is lost."
            )
            raise StopFailed(f"process {pid} has not stopped after {_STOP_S:.0f} s", hint=hint)
        time.sleep(_TICK_S)
    return pid


def is_ready(url: str) -> bool:
    """Whether the server at `url` answers and its store, too."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _server(data: Path) -> int | None:
    """The process of the folder's server: who holds the lock and has written the note, both."""
    deadline = time.monotonic() + 3.0  # a server that is starting writes its note in a moment
    while True:
        pid = folder.holder(data)
        if pid is None:
            return None
        note = places.read_server(data)
        if note is not None and note["pid"] == pid:
            return pid
        if time.monotonic() > deadline:
            raise NotAServer(f"process {pid} holds {data} but serves nothing")
        time.sleep(_TICK_S)


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        note = places.read_server(data)
        if note is not None and note["pid"] == process.pid and is_ready(note["url"]):
            return
        time.sleep(_TICK_S)


def _failed(process: subprocess.Popen[bytes], data: Path, said: str) -> Exception:
    """What the server said before it ended; one that neither ends nor answers is ended."""
    if process.poll() is None:
        process.terminate()
        reason = f"the server did not answer within {_START_S:.0f} s"
    else:
        reason = f"the server ended with code {process.returncode}"
    try:
        told = json.loads(said.strip().splitlines()[-1])
        status = FAILURES[Failure(told["failure"])].http
        return RemoteError(status, told["code"], told["message"], told["hint"])
    except (ValueError, LookupError, TypeError):  # it did not end with an error of ours
        log = tail(data / places.LOG, 10)
        return StartFailed("\n".join(part for part in (reason, said.strip(), log) if part))


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as variables: arguments can be read by every user of the machine."""
    values = {
        "REPOMESH_DATA": str(settings.data),
        "REPOMESH_HOST": settings.host,
        "REPOMESH_PORT": str(settings.port),
    }
    if settings.database_url is not None:
        values["REPOMESH_DATABASE_URL"] = settings.database_url
    if settings.public_url is not None:
        values["REPOMESH_PUBLIC_URL"] = settings.public_url
    return values
