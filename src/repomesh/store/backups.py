"""Backups of the database file: made while it is in use, and checked. `restoring` puts one back."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound, Unavailable
from repomesh.kernel.private_files import listed
from repomesh.store import backup_contents, drafts
from repomesh.store.sqlite import backup as copy

BACKUPS = "backups"
_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")


class FolderMissing(NotFound):
    """The folder in which a backup is to lie does not exist."""

    code = "folder_missing"
    hint = "Create the folder with 'mkdir', or name another file."


class NoDatabase(NotFound):
    """There is no database in the data folder."""

    code = "no_database"
    hint = "'repomesh up' makes one; '--data' names another folder."


class BackupExists(Conflict):
    """The file that the backup should be written to is there already."""

    code = "backup_exists"
    hint = "Name another file, or remove the existing one with 'rm'."


class DamagedDatabase(InvalidRequest):
    """The file is no repomesh database, or it is damaged."""

    code = "damaged_database"
    hint = "Use another backup. 'repomesh doctor' checks the database. Nothing was changed."


class ForeignObjects(InvalidRequest):
    """The database has triggers or views, which another program than repomesh put there."""

    code = "foreign_objects"
    hint = "Use a backup that 'repomesh backup' made and nobody changed. Nothing was changed."


class NoRoom(Unavailable):
    """The copy could not be written: the disk is full, fails, or may not be written."""

    code = "no_room"
    hint = "Make room on the disk ('df -h' shows it) and try again. Nothing was changed."


@dataclass(frozen=True, slots=True)
class BackupCheck:
    """The problems that a check found, and whether it was complete."""

    problems: tuple[str, ...]
    complete: bool = True


def make(database: Path, target: Path) -> str | None:
    """Copy the database, which may be in use, to a new file; returns its schema's revision.

    The copy is complete up to one moment, and checked. The contents that artifacts name lie beside it, in a
    folder of the file's name. Raises NoDatabase, BackupExists, FolderMissing, PermissionError, NoRoom,
    DamagedDatabase and ForeignObjects.
    """
    if not database.exists():
        raise NoDatabase(f"there is no database {database}")
    if target.exists():
        raise BackupExists(f"{target} exists")
    if not target.parent.is_dir():
        raise FolderMissing(f"no such folder: {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the folder may not be written", str(target))
    drafts.sweep(target.parent, target.name)
    # Before the database, since one of them may be erased meanwhile; behind it for those that came.
    backup_contents.back_up_contents(database.parent, contents_of(target))
    with drafts.draft(target) as draft:
        try:
            copy(database, draft)
        except sqlite3.DatabaseError as error:
            hint = "Put back an earlier backup with 'repomesh restore FILE'."
            raise _copy_error(f"{database} can't be copied", error, hint) from None
        revision = check(draft)
        backup_contents.back_up_contents(database.parent, contents_of(target))
        drafts.sync_file(draft)
        draft.replace(target)
    drafts.sync_folder(target.parent)
    return revision


def contents_of(backup: Path) -> Path:
    """The folder beside a backup with the contents that its artifacts name."""
    return backup.with_name(f"{backup.name}.contents")


def check(database: Path) -> str | None:
    """The schema's revision of a database file. Raises DamagedDatabase and ForeignObjects."""
    try:
        with closing(sqlite3.connect(_read_only_uri(database), uri=True)) as connection:
            verdict = connection.execute("PRAGMA integrity_check(3)").fetchall()
            if verdict != [("ok",)]:
                raise DamagedDatabase(f"{database} is damaged: {'; '.join(line for (line,) in verdict)}")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            foreign = foreign_objects(connection)
    except sqlite3.Error as error:
        raise DamagedDatabase(f"{database} is no database of repomesh: {error}") from None
    if foreign:
        raise ForeignObjects(f"{database} has objects that repomesh never makes: {', '.join(foreign)}")
    return None if row is None else str(row[0])


def foreign_objects(connection: sqlite3.Connection) -> list[str]:
    """The triggers and views of a database, as 'trigger NAME'. repomesh makes none.

    They are statements that SQLite runs with the server's own: another program put them there.
    """
    statement = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name LIMIT 5"
    return [f"{type_} {name!r}" for type_, name in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class BackupOrigin:
    """The workspace of the repository whose server made a database."""

    workspace_id: str
    name: str
    path: str | None


def home_of(database: Path) -> BackupOrigin | None:
    """The workspace whose server made the database; None when it can't be read, as in a damaged file."""
    try:
        with closing(sqlite3.connect(_read_only_uri(database), uri=True)) as connection:
            row = connection.execute("SELECT id, name, path FROM workspaces WHERE home").fetchone()
    except sqlite3.Error:  # `check` reports the damage
        return None
    return None if row is None else BackupOrigin(str(row[0]), row[1], row[2])


def quick_check(database: Path, within_s: float | None = None) -> BackupCheck:
    """Check a database, which may be in use, with SQLite's quick_check, for at most `within_s`.

    SQLite walks through all pages at once and can't be stopped meanwhile, so it runs in a thread.
    """
    results: list[BackupCheck] = []
    checker = threading.Thread(target=lambda: results.append(_quick_check(database)), daemon=True)
    checker.start()
    checker.join(within_s)
    return results[0] if results else BackupCheck((), complete=False)


def _quick_check(database: Path) -> BackupCheck:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            lines = tuple(str(line) for (line,) in connection.execute("PRAGMA quick_check(5)"))
    except sqlite3.Error as error:
        return BackupCheck((str(error),))
    return BackupCheck(() if lines == ("ok",) else lines)


def newest(data: Path) -> Path | None:
    """The backup in the data folder that was made last."""
    backups = list[tuple[float, Path]]()
    for path in listed(data / BACKUPS, "*.db"):
        with suppress(FileNotFoundError):  # removed meanwhile
            backups.append((path.stat().st_mtime, path))
    return max(backups)[1] if backups else None


def copy_closed(source: Path, target: Path) -> None:
    """Copy through SQLite, which includes the log beside the source. Raises NoRoom and DamagedDatabase."""
    try:
        with (
            closing(sqlite3.connect(_read_only_uri(source), uri=True)) as origin,
            closing(sqlite3.connect(target)) as copy_connection,
        ):
            origin.backup(copy_connection)
    except sqlite3.Error as error:
        raise _copy_error(f"{source} can't be copied", error, DamagedDatabase.hint) from None


def _copy_error(message: str, error: sqlite3.Error, hint: str) -> Exception:
    """NoRoom for a full or unwritable disk, where another backup would not help; else DamagedDatabase."""
    if _error_name(error).startswith(_NO_ROOM):
        return NoRoom(f"{message}: {error}")
    return DamagedDatabase(f"{message}: {error}", hint=hint)


def _error_name(error: sqlite3.Error) -> str:
    """SQLite's name of an error; nothing for one of the driver's own."""
    return getattr(error, "sqlite_errorname", "")


def _read_only_uri(database: Path) -> str:
    """A URI for reading; a file without a log beside it is not touched at all."""
    has_no_log = not database.with_name(f"{database.name}-wal").exists()
    return f"file:{quote(str(database.absolute()))}?mode=ro{'&immutable=1' if has_no_log else ''}"
