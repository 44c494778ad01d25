"""How long a server takes from its command to its first answer."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench.report import Report
from bench.servers import repomesh

_STARTS = 5


def measure(report: Report, folder: Path) -> None:
    """The first start makes the database; the others find it."""
    folder.mkdir()
    times = []
    for _ in range(_STARTS):
        with repomesh(folder / "data") as server:
            times.append(server.start_s)
    report.bound("first start, from the command to the first answer", times[0], "s", 2)
    report.bound("later starts, median", statistics.median(times[1:]), "s", 2)
