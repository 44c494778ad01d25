"""Time from a command to its result: of a server to its first answer, and of short commands beside Python."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report import Report
from bench.servers import repomesh

_STARTS = 5
_COMMANDS = 15
_REPOMESH = str(Path(sys.executable).with_name("repomesh"))


def measure(report: Report, folder: Path) -> None:
    """The first start makes the database; the others find it."""
    folder.mkdir()
    times = []
    for _ in range(_STARTS):
        with repomesh(folder / "data") as server:
            times.append(server.start_s)
    report.bound("first start, from the command to the first answer", times[0], "s", 2)
    report.bound("later starts, median", statistics.median(times[1:]), "s", 2)
    with repomesh(folder / "data") as server:
        _commands(report, {"REPOMESH_URL": server.url, "REPOMESH_TOKEN": server.token})


def _commands(report: Report, variables: Mapping[str, str]) -> None:
    """Commands in turn, so that what else the machine does falls on all of them."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "repomesh --help": [_REPOMESH, "--help"],
        "repomesh status": [_REPOMESH, "status"],
        "repomesh task list": [_REPOMESH, "task", "list"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_COMMANDS):
        for name, words in commands.items():
            times[name].append(_seconds(words, variables))
    medians = {name: statistics.median(each) for name, each in times.items()}
    report.note("python -c pass, median", medians["python -c pass"], "s")
    report.bound("repomesh --help, median", medians["repomesh --help"], "s", 0.1)
    report.bound("repomesh status, median", medians["repomesh status"], "s", 0.25)
    report.bound("repomesh task list, median", medians["repomesh task list"], "s", 0.25)


def _seconds(words: Sequence[str], variables: Mapping[str, str]) -> float:
    started = time.perf_counter()
    environment = os.environ | variables | {"PYTHONDONTWRITEBYTECODE": ""}  # as people have it
    subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
