"""Starting and stopping the daemon: by the server of its data folder, or by who needs it before."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from repomesh.kernel import data_folder, pidfile, trust
from repomesh.kernel.limits import PROCESS_NUMBER_MAX
from repomesh.kernel.own_program import own_program

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
    reachable = data_folder.read_server(data) is not None or "REPOMESH_URL" in os.environ
    if not reachable or not _needed(data) or holder(data) is not None:
        return False
    start(data)
    return True


def start(data: Path) -> int:
    """Start a daemon in the background; answers its process id. A second one ends by itself."""
    process = subprocess.Popen(  # noqa: S603 - our own words
        own_program("daemon"),
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
    return pidfile.holder(data / LOCK)


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs, one's own or another's; False for what can't be a process."""
    if not 0 < pid <= PROCESS_NUMBER_MAX:  # 0 would be one's own group, and a larger one no C integer
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def held(data: Path) -> Iterator[bool]:
    """Hold the daemon's lock of a data folder while inside; gives False when another process has it."""
    with pidfile.hold(data / LOCK) as taken:
        yield taken.by_us


def _needed(data: Path) -> bool:
    record = trust.record_of(data)
    return record is not None and any(
        (record / data_folder.CONNECT / f"{cli}.json").exists() for cli in WOKEN
    )
