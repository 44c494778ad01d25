"""What a server does to others while a test works it: how long they wait, and how much memory it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from fault.running import AT_FULL_SIZE, Process

STALL_S_MAX = 0.25 if AT_FULL_SIZE else 10.0  # only `make faults` has the machine to itself
# What is free again is not given back at once where others load the machine.
GROWTH_BYTES_MAX = (300 if AT_FULL_SIZE else 600) * 1024 * 1024


@contextmanager
def watched(process: Process) -> Iterator[list[float]]:
    """Ask for the server's health twenty times a second; gives how long each answer took."""
    took: list[float] = []
    begun_asking, over = threading.Event(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=process.url, timeout=60) as client:
            while not over.is_set():
                begun = time.monotonic()
                client.get("/healthz")
                took.append(time.monotonic() - begun)
                begun_asking.set()
                over.wait(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun_asking.wait(30)
    try:
        yield took
    finally:
        over.set()
        asking.join()


def resident_bytes(process: Process) -> int:
    """The memory that a server has now."""
    assert process._process is not None
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
