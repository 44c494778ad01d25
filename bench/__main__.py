"""`python -m bench`: every figure beside its limit; exits non-zero when a limit is missed.

Name sections to run only those: start, messages, push, meetings, hooks, context, scale, locks, sessions,
recall, topics, queue, idle.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bench import (
    context,
    hooks,
    idle,
    locks,
    meetings,
    merge_queue,
    messages,
    push,
    recall,
    revoking,
    scale,
    sessions,
    start,
    topics,
)
from bench.report import Report
from bench.servers import floors, repomesh

SECTIONS = (
    "start",
    "messages",
    "push",
    "meetings",
    "hooks",
    "context",
    "scale",
    "locks",
    "sessions",
    "recall",
    "topics",
    "queue",
    "idle",
)
RESULTS = Path(__file__).parent / "results.json"


def main(wanted: list[str]) -> int:
    """Measure, print, write."""
    begun = time.perf_counter()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="repomesh-bench-") as scratch:
        folder = Path(scratch)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")  # what is measured is remembered nowhere else
        if "start" in wanted:
            start.measure(report, folder / "start")
        if {"messages", "push"} & {*wanted}:
            with repomesh(folder / "data") as server, floors() as floor, floors("api") as api:
                report.note("resident memory after start", server.resident_mb(), "MB")
                if "messages" in wanted:
                    messages.measure(report, server, floor, api, folder)
                if "push" in wanted:
                    push.measure(report, server, floor)
                    revoking.measure(report, server)
                report.note("resident memory after the load", server.resident_mb(), "MB")
        if "meetings" in wanted:
            meetings.measure(report, folder / "meetings")
        if "hooks" in wanted:
            hooks.measure(report, folder / "hooks")
        if "context" in wanted:
            context.measure(report, folder / "context")
        if "scale" in wanted:
            scale.measure(report, folder / "scale")
        if "locks" in wanted:
            locks.measure(report, folder / "locks")
        if "sessions" in wanted:
            sessions.measure(report, folder / "sessions")
        if "recall" in wanted:
            recall.measure(report, folder / "recall")
        if "topics" in wanted:
            topics.measure(report)
        if "queue" in wanted:
            merge_queue.measure(report, folder / "queue")
        if "idle" in wanted:
            idle.measure(report, folder / "idle")
    elapsed_s = time.perf_counter() - begun
    report.show()
    report.write(RESULTS, elapsed_s)
    print(f"{elapsed_s:.0f} s; written to {RESULTS}")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SECTIONS)))
