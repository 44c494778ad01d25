"""Restoring beside what kills can't show: full disks, contents, and plans that make no sense."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from notebook import Notebook
from repomesh.adapters.contents.folder import FolderContents
from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.settings import Settings
from repomesh.store import backups, drafts, folder, opening, restoring

BYTES = b"x" * 100


@pytest.fixture
def engine() -> str:
    return "sqlite"


@pytest.fixture
def database(settings: Settings) -> Path:
    return settings.data / folder.DATABASE


def test_contents_belong_to_the_backup(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    data, digest, later = database.parent, *(sha256(text).hexdigest() for text in (BYTES, b"later"))
    contents = FolderContents(data)
    contents.keep(digest, BYTES)
    backups.make(database, tmp_path / "kept.db")
    notebook.store.close()
    shutil.rmtree(data / CONTENTS)
    replaced = restoring.restore(data, tmp_path / "kept.db").replaced
    assert contents.read_file(digest) == BYTES
    contents.keep(later, b"later")
    again = restoring.restore(data, tmp_path / "kept.db").replaced
    assert replaced is not None
    assert again is not None
    names = {path.name for path in backups.contents_of(again).rglob("*") if path.is_file()}
    assert names == {digest, later}, "what was replaced keeps its contents, too"


def test_links_in_a_backup_lead_nowhere(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    backups.make(database, tmp_path / "kept.db")
    notebook.store.close()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ab1").write_text("secret")
    kept = backups.contents_of(tmp_path / "kept.db")
    (kept / "cd").mkdir(parents=True, exist_ok=True)
    (kept / "ab").symlink_to(outside)
    (kept / "cd" / "cd1").symlink_to(outside / "ab1")
    restoring.restore(database.parent, tmp_path / "kept.db")
    assert not list((database.parent / CONTENTS).rglob("*1"))


_FULL = """
import resource, signal, sys
from pathlib import Path
from repomesh.store import backups, restoring
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    restoring.restore(Path(sys.argv[1]), Path(sys.argv[2]))
except backups.NoRoom as error:
    print(error.code)
"""


def test_a_full_disk_is_no_damage_and_changes_nothing(
    notebook: Notebook, database: Path, tmp_path: Path
) -> None:
    backups.make(database, tmp_path / "kept.db")
    notebook.write_now("since")
    notebook.store.close()
    before = database.read_bytes()
    command = [sys.executable, "-c", _FULL, str(database.parent), str(tmp_path / "kept.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "no_room"
    assert database.read_bytes() == before
    assert not restoring.is_pending(database.parent)
    assert not list(database.parent.glob(".*.draft*"))


def test_a_log_beside_the_old_database_is_not_read_into_the_new_one(
    notebook: Notebook, database: Path, tmp_path: Path
) -> None:
    backups.make(database, tmp_path / "kept.db")
    notebook.write_now("since")
    killed = tmp_path / "killed"
    shutil.copytree(database.parent, killed)
    notebook.store.close()
    (killed / folder.DATABASE).write_bytes(b"no database" * 500)
    log = (killed / f"{folder.DATABASE}-wal").read_bytes()
    replaced = restoring.restore(killed, tmp_path / "kept.db").replaced
    assert replaced is not None
    kept = replaced.with_name(f"{replaced.name}-wal")
    assert not kept.exists() or kept.read_bytes() == log
    with sqlite3.connect(killed / folder.DATABASE) as connection:
        assert connection.execute("SELECT text FROM test_notes").fetchall() == []
    connection.close()


def test_a_plan_that_can_not_be_read_is_told_and_another_restore_goes_on(
    notebook: Notebook, database: Path, tmp_path: Path
) -> None:
    backups.make(database, tmp_path / "kept.db")
    notebook.store.close()
    (database.parent / restoring.PLAN).write_text("[]")
    with pytest.raises(backups.DamagedDatabase, match="can't be read"):
        opening.prepare_file(database.parent)
    restoring.restore(database.parent, tmp_path / "kept.db")
    assert opening.prepare_file(database.parent) == []


def test_only_drafts_that_nobody_holds_are_swept(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("mine.draft", ".mine.draft", ".x.1.draft.bak", ".x.draft")]
    for path in kept:
        path.touch()
    (tmp_path / ".link.1.draft").symlink_to(kept[0])
    (tmp_path / ".folder.1.draft").mkdir()
    left = tmp_path / f".a.db.{os.getpid()}.draft"
    for path in (left, tmp_path / f"{left.name}-journal", tmp_path / ".gone.db.7.draft-wal"):
        path.touch()
    with drafts.draft(tmp_path / "b.db") as held:
        assert drafts.sweep(tmp_path) == [left.name]
        assert held.exists()
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {path.name for path in kept} | {".link.1.draft", ".folder.1.draft"}


def test_of_a_folder_of_others_only_the_drafts_of_one_name_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".a.db.1.draft").touch()
    (tmp_path / ".b.db.1.draft").touch()
    assert drafts.sweep(tmp_path, "a.db") == [".a.db.1.draft"]
    assert [path.name for path in tmp_path.iterdir()] == [".b.db.1.draft"]


def test_a_check_is_not_waited_for_longer_than_it_may_take(database: Path, tmp_path: Path) -> None:
    assert backups.quick_check(database, 60.0) == backups.BackupCheck(())
    held = tmp_path / "held.db"
    with closing(sqlite3.connect(held, isolation_level=None)) as holder:
        holder.execute("CREATE TABLE held (x)")
        holder.execute("BEGIN EXCLUSIVE")
        assert not backups.quick_check(held, 0.05).complete


def test_fencing_tokens_do_not_go_back(notebook: Notebook, database: Path, tmp_path: Path) -> None:
    """Whoever checks them outside of the mesh would take an older holder for the newer one."""
    backups.make(database, tmp_path / "kept.db")
    given = [notebook.store.write_now(notebook.caller, lambda tx: tx.next_fencing_token()) for _ in range(3)]
    notebook.store.close()
    restoring.restore(database.parent, tmp_path / "kept.db")
    with closing(sqlite3.connect(database)) as connection:
        (last,) = connection.execute("SELECT max(last_fencing_token) FROM counters").fetchone()
    assert last > max(given)
