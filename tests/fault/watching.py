"""What a server does to others while a test works it: how long they wait, and how much memory it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault.running import AT_FULL_SIZE, HERE, Process

STALL_S_MAX = 0.25 if AT_FULL_SIZE else 10.0  # only `make faults` has the machine to itself
# What is free again is not given back at once where others load the machine.
GROWTH_BYTES_MAX = (300 if AT_FULL_SIZE else 600) * 1024 * 1024


@contextmanager
def watched(process: Process) -> Iterator[list[float]]:
    """Inside, the server is asked twenty times a second whether it is well; behind it, how long that took.

    A process of its own asks: who reads long answers, or sends floods, keeps its own interpreter busy.
    """
    answers_s: list[float] = []
    program = [sys.executable, HERE / "polling.py", process.url]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as polling:
        assert polling.stdout is not None
        polling.stdout.readline()
        yield answers_s
        seen = json.loads(polling.communicate(timeout=60)[0])
    assert {status for status, _seconds in seen} == {200}
    answers_s += [seconds for _status, seconds in seen]


def resident_bytes(process: Process) -> int:
    """The memory that a server has now."""
    assert process._process is not None
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
