"""Starts and stops the daemon of a data folder."""

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
"""The CLIs that can be woken; see `wake_methods.WAYS`."""
STOP_S: Final = 5.0
_TICK_S: Final = 0.02


def start_if_needed(data: Path) -> bool:
    """Start a daemon, replacing an older one, if it can wake a connected CLI; True if it was started."""
    if not _has_wakeable_cli(data):
        return False
    stop(data)  # the older one may watch a previous server
    start(data)
    return True


def start_if_absent(data: Path) -> bool:
    """Start a daemon unless one runs, if there is a server and a CLI to wake; True if it was started."""
    reachable = data_folder.read_server(data) is not None or "REPOMESH_URL" in os.environ
    if not reachable or not _has_wakeable_cli(data) or holder(data) is not None:
        return False
    start(data)
    return True


def start(data: Path) -> int:
    """Start a daemon in the background; returns its process id. A second one exits at once."""
    process = subprocess.Popen(  # noqa: S603 - our own words
        own_program("daemon"),
        env=os.environ | {"REPOMESH_DATA": str(data)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl+C in this terminal does not end it
    )
    return process.pid


def stop(data: Path) -> int | None:
    """Stop the daemon of a data folder, waiting STOP_S at most; returns its process id, None without one."""
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
    """The process id of the daemon of a data folder, None without one."""
    return pidfile.holder(data / LOCK)


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs, of any user; False for an invalid number."""
    if not 0 < pid <= PROCESS_NUMBER_MAX:  # 0 is the own process group; larger numbers are no C integers
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def hold_lock(data: Path) -> Iterator[bool]:
    """Hold the daemon's lock of a data folder inside the block; yields False when another process has it."""
    with pidfile.hold(data / LOCK) as lock:
        yield lock.by_us


def _has_wakeable_cli(data: Path) -> bool:
    record = trust.record_of(data)
    return record is not None and any(
        (record / data_folder.CONNECT / f"{cli}.json").exists() for cli in WOKEN
    )
