"""A database that is gone, empty, damaged, or open to others: what `up` and its neighbours say and do."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cli.running import Shell
from repomesh.store import folder, opening, restoring

UP = ("up", "--detach", "--port", "0")


@pytest.fixture
def stopped(running: Shell, tmp_path: Path) -> Shell:
    """A server that was stopped, with an agent and a backup."""
    running.ok("agent", "register", "alice")
    running.ok("backup", str(tmp_path / "kept.db"))
    running.ok("down")
    return running


def _names(shell: Shell) -> list[str]:
    return [agent["name"] for agent in shell.ok("agent", "list")["items"]]


def _database(shell: Shell) -> Path:
    return shell.data / folder.DATABASE


def _damage(shell: Shell, table: str) -> None:
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(_database(shell))) as connection:
        asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(asked, [table]).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with _database(shell).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("loss", ["gone", "empty", "first page"])
def test_no_start_is_empty_where_a_database_was(stopped: Shell, tmp_path: Path, loss: str) -> None:
    _database(stopped).unlink()
    if loss == "empty":
        _database(stopped).touch()
    elif loss == "first page":  # all that there is without a log that was never written back
        with closing(sqlite3.connect(_database(stopped))) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE t (c)")
            connection.execute("DROP TABLE t")
            connection.execute("VACUUM")
        assert _database(stopped).stat().st_size == 4096
    for words in (UP, ("session", "list"), ("db", "upgrade")):
        done = stopped(*words, "--json")
        assert (done.code, done.problem["code"]) == (4, "database_missing"), words
        assert "repomesh restore" in done.problem["hint"]
    assert stopped("doctor").code == 1
    stopped.ok("restore", str(tmp_path / "kept.db"))
    assert stopped(*UP).code == 0
    assert _names(stopped) == ["alice"]


def test_a_new_database_is_whole_without_its_log(running: Shell) -> None:
    """What was written later may be lost with the log, but the tables and the tokens are in the file."""
    shutil.copy(_database(running), running.folder / "alone.db")
    with closing(sqlite3.connect(running.folder / "alone.db")) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_an_empty_database_is_made_where_that_is_asked_for(stopped: Shell) -> None:
    assert stopped(*UP, "--new-database", "--json").problem["code"] == "database_exists"
    _database(stopped).unlink()
    assert stopped(*UP, "--new-database").code == 0
    assert _names(stopped) == []


def test_a_folder_from_before_the_note_is_known_by_what_is_left(stopped: Shell) -> None:
    (stopped.data / opening.NOTE).unlink()
    log = _database(stopped).with_name(f"{folder.DATABASE}-wal")
    _database(stopped).rename(log)
    assert stopped(*UP, "--json").problem["code"] == "database_missing"
    assert log.stat().st_size > 0
    assert stopped(*UP, "--new-database").code == 0
    assert list(stopped.data.glob("backups/*.db-wal")), "the log is kept"


def test_a_damaged_database_is_only_read_until_somebody_says_otherwise(
    stopped: Shell, tmp_path: Path
) -> None:
    _damage(stopped, "messages")
    before = _database(stopped).read_bytes()
    started = stopped(*UP)
    assert started.code == 0, started.err
    assert "The database is damaged" in started.out
    done = stopped("task", "create", "x", "--json")
    assert (done.code, done.problem["code"]) == (6, "database_damaged")
    assert "--accept-damage" in done.problem["hint"]
    assert stopped.ok("api", "workspace.show")["name"]
    assert "read_only" in stopped("doctor").out
    stopped.ok("down")
    assert _database(stopped).read_bytes() == before
    assert "as you asked" in stopped(*UP, "--accept-damage").out
    stopped.ok("down")
    stopped.ok("restore", str(tmp_path / "kept.db"))
    assert stopped(*UP).code == 0
    assert stopped.ok("status")["database"] == "ready"


def test_status_shows_what_damage_left(stopped: Shell) -> None:
    _damage(stopped, "agents")
    assert stopped(*UP).code == 0
    shown = stopped.ok("status")
    assert shown["database"] == "read only"
    assert "agents" in shown["damaged"]
    assert (shown["agents"]["items"], shown["tasks"]["ready"]) == ([], 0)
    assert shown["last_seq"]
    assert "can't be read: run 'repomesh doctor'" in stopped("status").out


def test_a_start_needs_no_display_value_and_no_time_of_an_absence(stopped: Shell) -> None:
    with closing(sqlite3.connect(_database(stopped))) as connection, connection:
        connection.execute("UPDATE workspaces SET name = CAST(X'68FF' AS TEXT), path = CAST(X'FF' AS TEXT)")
        connection.execute("UPDATE counters SET left_at = 'abc', returned_at = 'abc'")
        connection.execute("UPDATE counters SET last_at = 'abc' WHERE workspace_id = ''")
    started = stopped(*UP)
    assert started.code == 0, started.err
    assert stopped.ok("status")["workspace"] == "h\ufffd"
    assert "alice" in _names(stopped)


def test_a_start_names_the_record_that_is_to_be_repaired(stopped: Shell) -> None:
    with closing(sqlite3.connect(_database(stopped))) as connection, connection:
        connection.execute("UPDATE workspaces SET created_at = 'abc'")
    done = stopped(*UP, "--json")
    assert done.problem["code"] == "damaged_record"
    assert "workspaces" in done.problem["hint"]


def test_a_database_that_can_not_even_be_read_is_told_with_its_newest_backup(stopped: Shell) -> None:
    kept = stopped.data / "backups" / "mine.db"
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    stopped.ok("backup", str(kept))
    _damage(stopped, "workspaces")
    done = stopped(*UP, "--json")
    assert (done.code, done.problem["code"]) == (6, "database_damaged")
    assert f"repomesh restore {kept}" in done.problem["hint"]


def test_what_others_may_read_is_closed_to_them_and_told(stopped: Shell) -> None:
    names = (folder.DATABASE, "backups/old.db", "archive/1.ndjson.gz")
    files = [stopped.data / name for name in names]
    for path in files[1:]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for path in files:
        path.chmod(0o644)
    done = stopped(*UP)
    assert done.code == 0, done.err
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o600
        assert f"{path} could be read by others (mode 0644)" in done.out


def test_statements_that_another_program_put_into_a_database_are_found(
    stopped: Shell, tmp_path: Path
) -> None:
    backup = tmp_path / "kept.db"
    trigger = "CREATE TRIGGER spy AFTER INSERT ON messages BEGIN UPDATE tokens SET role = 'owner'; END"
    for database in (backup, _database(stopped)):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(trigger)
    done = stopped("restore", str(backup), "--json")
    assert (done.code, done.problem["code"]) == (2, "foreign_objects")
    assert "trigger 'spy'" in done.problem["message"]
    done = stopped("doctor")
    assert done.code == 1
    assert "trigger 'spy'" in done.out


def test_a_start_finishes_a_restore_that_was_interrupted(stopped: Shell, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "kept.db", stopped.data / "restore.db")
    (stopped.data / restoring.PLAN).write_text('{"source": "/kept.db", "replaced": "../../replaced-1.db"}')
    assert stopped("backup", str(tmp_path / "other.db"), "--json").problem["code"] == "restore_interrupted"
    assert "repomesh up" in stopped("doctor").out
    done = stopped(*UP)
    assert "Finished the restore of /kept.db" in done.out
    assert (stopped.data / "backups" / "replaced-1.db").exists(), "a plan names no place outside"
    assert _names(stopped) == ["alice"]
