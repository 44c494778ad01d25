"""Backups, restores and migrations that are killed at each step that touches the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fault.running import HERE
from notebook import Notebook
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import backups, folder, migrate
from repomesh.store.open import open_store

pytestmark = pytest.mark.fault


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that kills its process at a step."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        if os.environ.get("CI") == "true":
            pytest.fail("a C compiler on Linux is needed to stop at a step, and CI must")
        pytest.skip("needs a C compiler on Linux: apt install gcc")
    made = tmp_path / "stops.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, HERE / "stops.c", "-ldl"], check=True)
    return made


class Stops:
    """What each kill of one thing that is done to a data folder left."""

    def __init__(self, library: Path, place: Path) -> None:
        self._library = library
        self._place = place

    def of(self, name: str, template: Path, source: Path | str = "") -> list[dict[str, Any]]:
        runs = self._place / f"runs-{name}"
        runs.mkdir()
        done = subprocess.run(
            [sys.executable, HERE / "stopping.py", name, str(template), str(runs), str(source)],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | {"PYTHONPATH": str(HERE.parent), "LD_PRELOAD": str(self._library)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        assert len(found) > 5
        return found


@pytest.fixture
def stops(library: Path, tmp_path: Path) -> Stops:
    return Stops(library, tmp_path)


@pytest.fixture
def killed_server(notebook: Notebook, settings: Settings, tmp_path: Path) -> Path:
    """The data folder of a server that was killed: its last note stands in the log alone."""
    notebook.write_now("first")
    backups.make(settings.data / folder.DATABASE, tmp_path / "first.db")
    notebook.write_now("last")
    copied = tmp_path / "killed"
    shutil.copytree(settings.data, copied)
    assert (copied / f"{folder.DATABASE}-wal").stat().st_size > 0
    return copied


OLD, NEW = ["first", "last"], ["first"]


def test_a_restore_that_is_killed_leaves_one_database_whole_and_is_told(
    stops: Stops, killed_server: Path, tmp_path: Path
) -> None:
    left = stops.of("restore", killed_server, tmp_path / "first.db")
    for found in left:
        assert found["texts"] in (OLD, NEW)
        assert not found["problems"]
        assert not found["unfinished"]
        assert any("interrupted" in note for note in found["notes"]) or found in (left[0], left[-1])
        if found["texts"] == OLD:
            assert not any("Finished the restore" in note for note in found["notes"])
    assert {tuple(found["texts"]) for found in left} == {tuple(OLD), tuple(NEW)}


def test_a_restore_over_a_damaged_database_is_finished_as_well(
    stops: Stops, killed_server: Path, tmp_path: Path
) -> None:
    (killed_server / folder.DATABASE).write_bytes(b"no header at all" * 1_000)
    left = stops.of("restore", killed_server, tmp_path / "first.db")
    assert left[-1]["texts"] == NEW
    assert all(found["texts"] in (None, NEW) and not found["unfinished"] for found in left)


def test_a_backup_that_is_killed_is_whole_or_not_there(stops: Stops, killed_server: Path) -> None:
    for found in stops.of("backup", killed_server):
        assert found["texts"] == OLD
        assert found["backup"] in (None, migrate.HEAD)
        assert not found["unfinished"]


def test_a_migration_that_is_killed_leaves_the_schema_before_or_behind_it(
    stops: Stops, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    folder.prepare(older)
    store = open_store(Settings(data=older), Metrics())
    migrate.upgrade(store, "0012")
    store.close()
    with closing(sqlite3.connect(older / folder.DATABASE)) as connection:
        connection.execute("CREATE TABLE test_notes (text)")
    for found in stops.of("upgrade", older):
        assert found["revision"] in ("0012", migrate.HEAD)
        assert not found["problems"]
