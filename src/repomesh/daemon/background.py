"""Starting and stopping the daemon: by the server of its data folder, or by who needs it before."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from repomesh.kernel import places

LOCK: Final = "daemon.lock"
WOKEN: Final = ("claude", "codex")
"""The CLIs that have a way to be woken; see `ways.WAYS`."""
STOP_S: Final = 5.0
_TICK_S: Final = 0.02


def start_if_needed(data: Path) -> bool:
    """Start a daemon for the data folder in place of an older one, if a CLI is connected that it can wake."""
    if not _needed(data):
        return False
    stop(data)  # it may watch a server that was here before
    start(data)
    return True


def ensure(data: Path) -> bool:
    """Start a daemon unless one runs, if there is a server for it and a CLI that it can wake."""
    reachable = places.read_server(data) is not None or "REPOMESH_URL" in os.environ
    if not reachable or not _needed(data) or holder(data) is not None:
        return False
    start(data)
    return True


def start(data: Path) -> int:
    """Start a daemon in the background; answers its process id. A second one ends by itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "repomesh.cli.main", "daemon"],
        env=os.environ | {"REPOMESH_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl+C in this terminal is not for it
    )
    return process.pid


def stop(data: Path) -> int | None:
    """End the daemon of a data folder; answers its process id, None when there was none."""
    pid = holder(data)
    if pid is None:
        return None
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while holder(data) == pid and time.monotonic() < deadline:
        time.sleep(_TICK_S)
    return pid


def holder(data: Path) -> int | None:
    """The process that wakes the CLIs of a data folder; None when none does."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(descriptor, 32, 0).decode().strip()
        return int(written) if written.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, one's own or another's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def held(data: Path) -> Iterator[bool]:
    """Hold the daemon's lock of a data folder while inside; gives False when another process has it.

    The lock belongs to the process: the operating system lets go of it however the process ends.
    """
    descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        taken = _taken(descriptor)
        if taken:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield taken
    finally:
        os.close(descriptor)


def _needed(data: Path) -> bool:
    return any((data / places.CONNECT / f"{cli}.json").exists() for cli in WOKEN)


def _taken(descriptor: int) -> bool:
    """Take the lock; a moment's patience, because `holder` tries it, too."""
    for _ in range(4):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TICK_S)
        else:
            return True
    return False
