"""Runs the programs of the fault tests as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

import prompt

HERE = Path(__file__).parent
AT_FULL_SIZE = os.environ.get("REPOMESH_TEST_FAULTS") == "all"  # by `make faults`; the suite does less


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
    """A real server, started as a user starts it, on a port of its own.

    `limits`: those that are changed; `work`: the repository in which it is started, by default this one.
    """

    def __init__(
        self,
        data: Path,
        database_url: str | None = None,
        *,
        limits: Mapping[str, object] | None = None,
        work: Path | None = None,
        **settings: object,
    ) -> None:
        self.data = data
        self._work = work
        self.url = f"http://127.0.0.1:{free_port()}"
        self._words = ["up", "--data", str(data), "--port", self.url.rpartition(":")[2]]
        if database_url is not None:
            self._words += ["--database-url", database_url]
        self._environment = {f"REPOMESH_{name.upper()}": str(value) for name, value in settings.items()}
        self._program: list[str | Path] = [Path(sys.executable).with_name("repomesh")]
        if limits:
            self._program = [sys.executable, HERE / "limited.py", json.dumps(limits)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._begin()
        deadline = time.monotonic() + 30
        while not self._is_ready():
            said = self._last_words()
            assert said is None, f"the server ended: {said}"
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.02)

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [*self._program, *self._words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | self._environment,
            cwd=self._work,
        )

    def _last_words(self) -> str | None:
        """What it said, when it has ended."""
        assert self._process is not None
        assert self._process.stderr is not None
        return None if self._process.poll() is None else self._process.stderr.read().decode()

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


class Forked(Process):
    """A real server that is forked from a process with everything loaded: for those who start many."""

    _started: prompt.Started | None = None

    def _begin(self) -> None:
        self._started = prompt.start(self._words, self._work or self.data, os.environ | self._environment)

    def _last_words(self) -> str | None:
        assert self._started is not None
        return self._started.wait().err if self._started.ended() else None

    def kill(self) -> None:
        assert self._started is not None
        os.kill(self._started.pid, signal.SIGKILL)
        self._started.wait()
        self._started = None

    def stop(self) -> None:
        if self._started is not None and not self._started.ended():
            os.kill(self._started.pid, signal.SIGTERM)
            self._started.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
