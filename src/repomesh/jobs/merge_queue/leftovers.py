"""Ends processes that a check started and that left its process group, such as daemons.

Each check has an id in its environment, which its processes inherit. The idea is that of Jenkins'
ProcessTreeKiller (https://www.jenkins.io/doc/book/using/aborting-a-build/). A process that clears its
environment is not found; in a sandbox it can't outlive the check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil

VARIABLE = "REPOMESH_CHECK"
"""The variable with the id of a check."""

_ROUNDS = 5  # while one is killed, it may start another


def end_leftovers(check_id: str) -> None:
    """Kill the user's processes that have the id of a check in their environment. Blocks for milliseconds."""
    for _ in range(_ROUNDS):
        left = list(_processes_of(check_id))
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        if not left:
            return
        psutil.wait_procs(left, timeout=1)


def _processes_of(check_id: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has ended, or is another user's
            if process.environ().get(VARIABLE) == check_id and process.status() != psutil.STATUS_ZOMBIE:
                yield process
