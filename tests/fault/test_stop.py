"""A server is ended whatever it hangs in."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fault.running import HERE, Process
from repomesh.cli import detach
from repomesh.cli.serving import FORCED_EXIT
from repomesh.kernel import data_folder
from repomesh.store import folder

pytestmark = pytest.mark.fault


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path / "data")
    yield made
    if made._process is not None and made._process.poll() is None:
        made.kill()


def test_a_thread_that_never_ends_does_not_keep_the_process(process: Process) -> None:
    process._program = [sys.executable, HERE / "hanging.py"]
    process.start()
    assert process._process is not None
    process._process.terminate()
    process._process.communicate(timeout=60)
    assert process._process.returncode == FORCED_EXIT
    log = (process.data / data_folder.LOG).read_text()
    assert "did not stop in time" in log
    assert "hanging" in log


def test_down_kills_what_can_not_even_end_itself(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach, "_STOP_S", 0.2)
    process.start()
    assert process._process is not None
    os.kill(process._process.pid, signal.SIGSTOP)
    assert detach.stop(process.data) == process._process.pid
    assert process._process.wait(60) == -signal.SIGKILL
    assert folder.holder(process.data) is None
    assert data_folder.read_server(process.data) is None
