"""Programs that the fault tests run as processes of their own: `python programs.py NAME ARGUMENT…`."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path

from notebook import Notebook, open_notebook
from repomesh.kernel.clock import system_clock
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics, configure_logging
from repomesh.store.open import open_store


def _notebook(data: str) -> Notebook:
    return open_notebook(open_store(Settings(data=Path(data)), Metrics(), system_clock))


def timed_writes(data: str, alone: int, together: int) -> None:
    """Write notes one after the other, then from threads; tell when each was handed in and answered."""
    notebook = _notebook(data)
    times: list[tuple[int, int]] = []

    def write(name: str) -> None:
        begun = time.monotonic_ns()
        notebook.write_now(name)
        times.append((begun, time.monotonic_ns()))

    for number in range(alone):
        write(f"alone {number}")
    threads = [threading.Thread(target=write, args=(f"together {n}",)) for n in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notebook.store.close()
    print(json.dumps(times))


def writes_until_files_may_not_grow(data: str, room_bytes: int) -> None:
    """Write from 8 threads until the system refuses to let a file grow, then once more when it may again."""
    notebook = _notebook(data)
    told = write_until_refused(notebook, lambda: _limit_file_size(Path(data), room_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told["answered"].append(notebook.write_now("after"))
    notebook.store.close()
    print(json.dumps(told))


def _limit_file_size(data: Path, room_bytes: int) -> None:
    largest = max(path.stat().st_size for path in data.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + room_bytes, resource.RLIM_INFINITY))


def write_until_refused(notebook: Notebook, begin: object, refusals: int = 40) -> dict[str, list[str]]:
    """Have 8 threads write notes of several pages; after `begin` wait for so many refusals, then end."""
    told: dict[str, list[str]] = {"answered": [], "refused": []}
    ended = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            text = f"{writer}/{number} " + "x" * 20_000
            try:
                notebook.write_now(text)
                told["answered"].append(text)
            except Unavailable:
                told["refused"].append(text)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    while len(told["answered"]) < 20:
        time.sleep(0.005)
    assert callable(begin)
    begin()
    while len(told["refused"]) < refusals:
        time.sleep(0.005)
    ended.set()
    for thread in threads:
        thread.join()
    return told


if __name__ == "__main__":
    configure_logging("error")  # to standard error: what a program tells is its standard output
    program, folder, *numbers = sys.argv[1:]
    globals()[program](folder, *map(int, numbers))
