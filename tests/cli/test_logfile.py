"""The server's log: private, bounded, and going on after a disk was full."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from repomesh.cli import logfile
from repomesh.kernel.private_files import UnsafeFile


def test_a_full_log_becomes_the_older_one_and_both_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "LOG_BYTES_MAX", 100)
    log = logfile.LogFile(tmp_path / "server.log")
    for number in range(30):
        log.write(f"line {number:03}\n")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["server.log", "server.log.1"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert all(file.stat().st_size <= 100 for file in files)
    assert files[0].read_text().splitlines()[-1] == "line 029"
    lines = (files[1].read_text() + files[0].read_text()).splitlines()
    assert lines == [f"line {number:03}" for number in range(30 - len(lines), 30)]


def test_a_link_in_the_logs_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "server.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile):
        logfile.LogFile(tmp_path / "server.log")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_lines_that_a_full_disk_loses_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.log"
    log = logfile.LogFile(path)
    log.write("before\n")
    stream = log._handler.stream
    assert stream is not None
    own, full = os.dup(stream.fileno()), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, stream.fileno())
    for _ in range(2):
        log.write("lost\n")
    os.dup2(own, stream.fileno())
    log.write("after\n")
    log.write("later\n")
    lines = path.read_text().splitlines()
    assert [lines[0], lines[1], lines[3]] == ["before", "after", "later"]
    assert json.loads(lines[2]) == {"event": "lines of the log were lost", "count": 2}
