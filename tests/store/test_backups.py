"""Backups: whole up to one moment while others write, private, and never in the place of something else."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from notebook import Notebook
from repomesh.kernel.errors import Conflict
from repomesh.kernel.settings import Settings
from repomesh.store import backups, folder, migrate, restoring

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])


@pytest.fixture
def database(settings: Settings) -> Path:
    return settings.data / folder.DATABASE


def test_a_backup_under_load_is_whole_and_up_to_one_moment(
    notebook: Notebook, database: Path, tmp_path: Path
) -> None:
    ended = threading.Event()

    def write_on() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            notebook.write_now(f"{threading.get_ident()}/{number}")

    writers = [threading.Thread(target=write_on) for _ in range(4)]
    for writer in writers:
        writer.start()
    copies = []
    for number in range(5):
        before = notebook.texts()
        copies.append((before, tmp_path / f"{number}.db"))
        assert backups.make(database, copies[-1][1]) == migrate.HEAD
    ended.set()
    for writer in writers:
        writer.join()
    notebook.store.close()
    for before, copy in copies:
        assert copy.stat().st_mode & 0o077 == 0
        shutil.copy(copy, database)
        found = notebook.reopened()
        assert before <= found.texts()
        assert found.is_consistent()
        found.store.close()
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == [f"{n}.db" for n in range(5)]


def test_a_backup_replaces_nothing(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept.db"
    target.write_text("somebody's")
    with pytest.raises(Conflict):
        backups.make(database, target)
    assert target.read_text() == "somebody's"


def test_a_restore_keeps_what_it_replaces(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    notebook.write_now("then")
    backups.make(database, tmp_path / "then.db")
    notebook.write_now("since")
    notebook.store.close()
    aside = restoring.restore(database.parent, tmp_path / "then.db").replaced
    restored = notebook.reopened()
    assert restored.texts() == {"then"}
    restored.write_now("later")
    restored.store.close()
    assert aside is not None
    with sqlite3.connect(aside) as connection:
        assert {text for (text,) in connection.execute("SELECT text FROM test_notes")} == {"then", "since"}
    connection.close()


def test_nothing_is_replaced_by_what_is_no_backup(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    notebook.write_now("kept")
    good = tmp_path / "good.db"
    backups.make(database, good)
    notebook.store.close()
    before = database.read_bytes()
    content = good.read_bytes()
    newer = tmp_path / "newer.db"
    shutil.copy(good, newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for name, broken in (("text", b"hello"), ("cut", content[: len(content) // 2]), ("empty", b"")):
        (tmp_path / name).write_bytes(broken)
        with pytest.raises(backups.DamagedDatabase):
            restoring.restore(database.parent, tmp_path / name)
    with pytest.raises(migrate.SchemaTooNew):
        restoring.restore(database.parent, newer)
    assert database.read_bytes() == before
    again = notebook.reopened()
    assert again.texts() == {"kept"}
    again.store.close()
