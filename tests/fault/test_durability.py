"""What is answered is on disk: kill -9 can't show that, so the syncs themselves are watched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from fault.running import run_program
from repomesh.app import Server, prepare
from repomesh.kernel.settings import Settings
from repomesh.store import folder

HERE = Path(__file__).parent


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    """A library that records syncs when it is preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        if os.environ.get("CI") == "true":
            pytest.fail("a C compiler on Linux is needed to watch syncs, and CI must")
        pytest.skip("needs a C compiler on Linux to watch syncs: apt install gcc")
    library = tmp_path / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_sync_of_the_log_lies_between_each_submission_and_its_answer(
    server: Server, settings: Settings, shim: Path, tmp_path: Path
) -> None:
    server.store.close()
    record = tmp_path / "syncs"
    answered = json.loads(
        run_program("timed_writes", settings.data, 25, 64, LD_PRELOAD=str(shim), SYNC_RECORD=str(record))
    )
    log = str(settings.data / f"{folder.DATABASE}-wal")
    syncs = [line.split(maxsplit=3) for line in record.read_text().splitlines()]
    durable = [(int(begun), int(done)) for begun, done, result, path in syncs if (path, result) == (log, "0")]
    assert len(answered) == 25 + 64
    for handed_in, answer in answered:
        assert any(handed_in <= begun and done <= answer for begun, done in durable)
    # Writers that come together share a sync, or group commit would be none.
    last_alone = answered[24][1]
    assert sum(begun > last_alone for begun, _done in durable) < 64


def test_the_store_says_how_durable_it_is(server: Server, engine: str) -> None:
    about = server.store.describe()
    assert about["engine"] == engine
    if engine == "sqlite":
        assert (about["journal_mode"], about["synchronous"]) == ("wal", "2")
    else:
        assert about["synchronous_commit"] == "on"
        assert about["fsync"] in ("on", "off")


@pytest.mark.parametrize(("engine", "schema"), [("postgresql", False)])
def test_a_database_that_is_set_to_lose_commits_is_overruled(settings: Settings) -> None:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        name = settings.database_url.rpartition("/")[2]
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    made = Server(settings)
    prepare(settings, made.store, "test", None)
    assert made.store.describe()["synchronous_commit"] == "on"
    made.store.close()
