"""Schema, backup and restore from the command line."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cli.running import Shell
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import folder, migrate
from repomesh.store.open import open_store


def _names(shell: Shell) -> list[str]:
    return [agent["name"] for agent in shell.ok("agent", "list")["items"]]


def test_a_backup_of_a_running_server_brings_back_what_it_held(running: Shell, tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    running.ok("agent", "register", "alice")
    assert running.ok("backup", str(file))["schema"] == migrate.HEAD
    assert file.stat().st_mode & 0o777 == 0o600
    running.ok("agent", "register", "bob")
    assert running("restore", str(file)).code == 4
    running.ok("down")
    replaced = Path(running.ok("restore", str(file))["replaced"])
    running("up", "--detach", "--port", "0")
    assert _names(running) == ["alice"]
    with closing(sqlite3.connect(replaced)) as connection:
        assert connection.execute("SELECT count(*) FROM agents").fetchone() == (2,)


def test_a_backup_restored_elsewhere_opens_with_that_folders_new_token(
    running: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "kept.db"
    running.ok("agent", "register", "alice")
    running.ok("backup", str(file))
    other = Shell(tmp_path / "other")
    other.folder.mkdir()
    assert other("up", "--detach", "--port", "0").code == 0
    other.ok("down")
    refused = other("restore", str(file))
    assert refused.code == 2
    assert "is the backup of 'project'" in refused.err
    other.ok("restore", str(file), "--yes")
    assert other("up", "--detach", "--port", "0").code == 0
    assert _names(other) == ["alice"]
    other.ok("down")


def test_no_backup_replaces_a_file_and_no_damaged_one_is_restored(running: Shell, tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    file.write_text("mine")
    assert running("backup", str(file)).code == 4
    assert file.read_text() == "mine"
    running.ok("agent", "register", "alice")
    running.ok("down")
    assert running("restore", str(file)).code == 2
    assert not (running.data / "backups").exists()
    assert running("restore", str(tmp_path / "none.db")).code == 3
    running("up", "--detach", "--port", "0")
    assert _names(running) == ["alice"]


def test_an_older_database_is_backed_up_and_migrated_at_start(shell: Shell) -> None:
    _database_of(shell, "0001")
    assert shell("db", "check").code == 4
    done = shell("up", "--detach", "--port", "0")
    assert done.code == 0, done.err
    assert f"from schema 0001 to {migrate.HEAD}" in done.out
    (kept,) = (shell.data / "backups").glob("schema-0001-*.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    assert shell.ok("db", "check")["schema"] == migrate.HEAD


def test_db_upgrade_does_the_same_without_a_server(shell: Shell) -> None:
    assert shell("db", "current").code == 3
    _database_of(shell, "0001")
    assert shell.ok("db", "current") == {"schema": "0001", "needed": migrate.HEAD}
    assert shell.ok("db", "upgrade")["schema"] == migrate.HEAD
    assert shell("db", "check").code == 0
    assert len(list((shell.data / "backups").iterdir())) == 1


def test_a_newer_database_is_refused_and_left_alone(shell: Shell, tmp_path: Path) -> None:
    _database_of(shell, "head")
    with closing(sqlite3.connect(shell.data / folder.DATABASE)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (("up", "--port", "0"), ("up", "--detach", "--port", "0"), ("db", "upgrade")):
        done = shell(*words, "--json")
        assert (done.code, done.problem["code"]) == (4, "schema_too_new")
    file = tmp_path / "newer.db"
    shell.ok("backup", str(file))
    assert shell("restore", str(file)).code == 4
    assert not list(shell.data.glob("backups/*"))


def test_postgresql_is_backed_up_with_its_own_tools(shell: Shell) -> None:
    done = shell("backup", "x.db", REPOMESH_DATABASE_URL="postgresql://me:secret@127.0.0.1/team")
    assert done.code == 2
    assert "pg_dump --format=custom" in done.err
    assert "secret" not in done.err


def _database_of(shell: Shell, revision: str) -> None:
    folder.prepare(shell.data)
    store = open_store(Settings(data=shell.data), Metrics())
    migrate.upgrade(store, revision)
    store.close()
