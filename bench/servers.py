"""The servers that are measured, each a process of its own: repomesh as a user starts it, and the floors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_SETTLING_S = 2.0  # after its first answer a server loads the MCP library in the background
_START_S_MAX = 90.0  # with a database to be migrated, on a busy machine
_RATE = "1000000000"  # a bench sends more than any agent should


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    token: str = ""
    start_s: float = 0.0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def resident_mb(self) -> float:
        """Its resident memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def repomesh(data: Path, *options: str, database_url: str | None = None) -> Iterator[Running]:
    """`repomesh up` on `data`, from its start until the block ends."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "repomesh"), "up", "--port", str(port), "--data", str(data)]
    environment = os.environ | {
        "REPOMESH_MESSAGES_PER_MINUTE": _RATE,
        "REPOMESH_AGENT_INACTIVE_AFTER_S": "3600",
    }
    if database_url is not None:
        environment["REPOMESH_DATABASE_URL"] = database_url
    with _process([*command, *options], environment, data.parent) as process:
        start_s = _wait(process, f"http://127.0.0.1:{port}/healthz")
        time.sleep(_SETTLING_S)
        yield Running(port, process, (data / "token").read_text().strip(), start_s)


@contextmanager
def floors(*words: str) -> Iterator[Running]:
    """A server of the floors; see `bench.floors` for the words."""
    port = free_port()
    command = [sys.executable, "-m", "bench.floors", str(port), *words]
    with _process(command, dict(os.environ), Path.cwd()) as process:
        start_s = _wait(process, f"http://127.0.0.1:{port}/ready")
        yield Running(port, process, "floor", start_s)


@contextmanager
def _process(
    command: list[str], environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> float:
    """Seconds until `url` answers 200."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < _START_S_MAX:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return time.perf_counter() - begun
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.005)
    raise RuntimeError(f"{url} did not answer within {_START_S_MAX:g} s")
