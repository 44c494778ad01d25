"""The process that an agent CLI starts at each of its hooks, beside a Python that does nothing."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.messages import ask, register
from bench.report import Report
from bench.servers import Running, repomesh

CALLS = 120
UNREAD = 1_200  # more than all calls with a full inbox hand out
LIMIT_MS, BUSY_LIMIT_MS = 40, 100
_BUSY = "while True: pass"


def measure(report: Report, folder: Path) -> None:
    """Hooks after a tool, of a connected Claude Code: with nothing to say, with much, and on busy cores."""
    folder.mkdir()
    home, project = folder / "home", folder / "project"
    home.mkdir()
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    with repomesh(project / ".repomesh") as server:
        environment = os.environ | {"HOME": str(home)}
        connect = [str(Path(sys.executable).parent / "repomesh"), "connect", "claude", "--yes"]
        subprocess.run(connect, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
        hook = _Hook(project, environment)
        hook("SessionStart")
        _report(report, "hook, nothing unread", hook, LIMIT_MS)
        with _busy():
            _report(report, "hook, nothing unread, both cores busy", hook, BUSY_LIMIT_MS)
        _fill(server)
        _report(report, f"hook, {UNREAD:,} unread", hook, LIMIT_MS)
        report.bound("longest answer of a hook", max(hook.answers), "bytes", 4_096)


class _Hook:
    """Runs the hooks of one CLI session as `connect` wrote them down."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        self._project = project
        self._environment = environment
        self._session_id = str(uuid.uuid4())
        settings = json.loads((project / ".claude/settings.local.json").read_text())
        self._commands = {
            event: ["sh", "-c", groups[0]["hooks"][0]["command"]]  # as the CLI runs it
            for event, groups in settings["hooks"].items()
        }
        self.answers: list[int] = []

    def __call__(self, event: str = "PostToolUse") -> None:
        said = {
            "session_id": self._session_id,
            "transcript_path": str(self._project / "transcript.jsonl"),
            "cwd": str(self._project),
            "hook_event_name": event,
            "tool_name": "Bash",
            "tool_input": {"command": "ls"},
            "tool_response": {"stdout": "README.md"},
        }
        done = subprocess.run(
            self._commands[event],
            input=json.dumps(said).encode(),
            cwd=self._project,
            env=self._environment,
            capture_output=True,
            check=True,
        )
        self.answers.append(len(done.stdout))
        if done.stdout:  # as the CLI does, so that the server sees what arrived
            with (self._project / "transcript.jsonl").open("ab") as transcript:
                transcript.write(done.stdout.rstrip() + b"\n")


def _bare() -> None:
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True, stdin=subprocess.DEVNULL)


def _report(report: Report, name: str, hook: _Hook, limit_ms: float) -> None:
    ours, floor = _interleaved(hook, _bare)
    report.add(f"{name}, p50", ours[49], "ms", "python -S -c pass", floor[49])
    report.bound(f"{name}, p95", ours[94], "ms", limit_ms)


def _interleaved(*works: Callable[[], None]) -> list[list[float]]:
    """The percentiles of each work's times in milliseconds, taken in turn."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(CALLS):
        for work, times in zip(works, taken, strict=True):
            begun = time.perf_counter()
            work()
            times.append((time.perf_counter() - begun) * 1e3)
    return [statistics.quantiles(times, n=100) for times in taken]


def _fill(server: Running) -> None:
    """Send the CLI's agent many messages."""
    token = register(server, "talkative")
    agents = ask(server, "/v1/agents", server.token)["items"]
    [reader] = [agent["name"] for agent in agents if agent["name"] != "talkative"]
    for number in range(UNREAD):
        body = {"to": [reader], "subject": f"Finding {number}", "body": "The parser drops the comma. " * 12}
        ask(server, "/v1/messages", token, body)


@contextmanager
def _busy() -> Iterator[None]:
    """Keep every core busy with something else."""
    processes = [subprocess.Popen([sys.executable, "-S", "-c", _BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
