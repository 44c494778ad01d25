"""Runs the programs of the fault tests as processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).parent


def run_program(name: str, *arguments: object, **environment: str) -> str:
    """What a program of `programs.py` printed."""
    done = subprocess.run(
        [sys.executable, HERE / "programs.py", name, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Process:
    """A real server, started as a user starts it, on a port of its own."""

    def __init__(self, data: Path, database_url: str | None = None, **settings: object) -> None:
        self.data = data
        self.url = f"http://127.0.0.1:{free_port()}"
        self._command = [Path(sys.executable).with_name("repomesh"), "up", "--data", str(data)]
        self._command += ["--port", self.url.rpartition(":")[2]]
        if database_url is not None:
            self._command += ["--database-url", database_url]
        self._environment = {f"REPOMESH_{name.upper()}": str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | self._environment,
        )
        deadline = time.monotonic() + 30
        while not self._is_ready():
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                raise AssertionError(f"the server ended: {self._process.stderr.read().decode()}")
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without a chance to say a word."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """End it as a user does, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.communicate(timeout=30)

    @property
    def token(self) -> str:
        """The owner's token."""
        return (self.data / "token").read_text().strip()

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
