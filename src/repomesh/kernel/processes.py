"""Processes of this machine: how they are named to the server, and whether one still runs.

A name is 'NUMBER.START@MACHINE'. START is when the process began, in clock ticks since the machine booted
(field 22 of proc_pid_stat(5)): numbers are given again, and soon in a container. It is absent where it
can't be seen.

`connect/hook_main.py` names processes the same way, but can't afford to import this.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from repomesh.kernel.limits import PROCESS_MACHINE_CHARS_MAX, PROCESS_START_SLACK_S

_PROC: Final = Path("/proc")
_NAMESPACE = re.compile(r"\.ns[0-9]+$")


def machine() -> str:
    """This machine, as it stands behind '@' in a process's name; empty when it has no name.

    On Linux with the namespace that numbers the processes: a container may share its host's name.
    """
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())
    if len(host) > PROCESS_MACHINE_CHARS_MAX:  # containers of one group differ at the end of their names
        half = PROCESS_MACHINE_CHARS_MAX // 2
        host = host[:half] + host[-half:]
    with suppress(OSError):
        host += ".ns" + "".join(filter(str.isdigit, str((_PROC / "self/ns/pid").readlink()))) if host else ""
    return host


def same_machine(first: str, second: str) -> bool:
    """Whether two names may mean one machine; an empty name, or one without namespace, matches more."""
    if not first or not second or first == second:
        return True
    both_namespaced = _NAMESPACE.search(first) and _NAMESPACE.search(second)
    return not both_namespaced and _NAMESPACE.sub("", first) == _NAMESPACE.sub("", second)


def name_of(number: int) -> str:
    """The name of a process of this machine."""
    machine_name, start = machine(), _read_start(number)
    name = f"{number}.{start}" if start else str(number)
    return f"{name}@{machine_name}" if machine_name else name


def number_of(process: str) -> int | None:
    """The number in a process's name; None when there is none."""
    number = process.partition("@")[0].partition(".")[0]
    return int(number) if number.isdigit() else None


def same_process(first: str, second: str) -> bool:
    """Whether two names may mean one process; a name without start or machine matches more."""
    first_process, _, first_machine = first.partition("@")
    second_process, _, second_machine = second.partition("@")
    first_number, _, first_start = first_process.partition(".")
    second_number, _, second_start = second_process.partition(".")
    if first_number != second_number or (first_start and second_start and first_start != second_start):
        return False
    return same_machine(first_machine, second_machine)


def was_replaced(process: str) -> bool:
    """Whether the number in a name of this machine's process belongs to a later process by now."""
    start = process.partition("@")[0].partition(".")[2]
    number = number_of(process)
    current_start = _read_start(number) if start and number is not None else ""
    return bool(current_start) and current_start != start


def runs(process: str | None, seen_at: datetime) -> bool | None:
    """Whether a process that was seen at `seen_at` still runs; None when that can't be known from here.

    Only processes in this server's own namespace can be seen. A process whose start differs from the one in
    the name, or that began after `seen_at` where the name has none, is another one with the same number.
    """
    name, _, machine_name = (process or "").partition("@")
    number, start = number_of(name), name.partition(".")[2]
    if number is None or _NAMESPACE.search(machine_name) is None or machine_name != machine():
        return None
    try:
        with suppress(PermissionError):  # another user's, so it is there
            os.kill(number, 0)
        ticks = _read_start_ticks(number)
        if start and ticks:
            return int(start) == ticks
        began_at = _start_time(ticks)
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, ValueError, IndexError):  # hidden from this user
        return None
    return began_at <= seen_at + timedelta(seconds=PROCESS_START_SLACK_S)


def _read_start(number: int) -> str:
    """When a process of this machine began, as its name says it; empty when that can't be seen."""
    try:
        ticks = _read_start_ticks(number)
    except (OSError, ValueError, IndexError):
        return ""
    return str(ticks) if ticks else ""


def _read_start_ticks(number: int) -> int:
    """The clock ticks between the machine's boot and a process's start; 0 where the system counts none.

    Raises ProcessLookupError when the process has ended, OSError when it can't be seen.
    """
    # The name, in brackets, may hold anything; what follows begins with the state.
    fields = (_PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):  # it has ended, and nobody has asked how yet
        raise ProcessLookupError(number)
    return int(fields[19])


def _start_time(ticks: int) -> datetime:
    """When a process began; raises OSError when the machine's time since its boot can't be seen."""
    uptime_s = float((_PROC / "uptime").read_text().split()[0])
    ago_s = uptime_s - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.now(UTC) - timedelta(seconds=ago_s)
