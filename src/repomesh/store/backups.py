"""Backups of the database file: made while it is in use, checked, and put back."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound
from repomesh.store import folder, migrate
from repomesh.store.sqlite import backup as copy

BACKUPS = "backups"
_SIDES = ("", "-wal", "-shm")  # a database in WAL mode is these files together


class NoDatabase(NotFound):
    """There is no database in the data folder."""

    code = "no_database"
    hint = "'repomesh up' makes one; '--data' names another folder."


class BackupExists(Conflict):
    """The file that the backup should be written to is there already."""

    code = "backup_exists"
    hint = "Name another file, or remove that one first."


class DamagedDatabase(InvalidRequest):
    """The file is no database of ours, or it is damaged."""

    code = "damaged_database"
    hint = "Use another backup. Nothing was changed."


def make(database: Path, target: Path) -> str | None:
    """Copy the database, which may be in use, to a new file; answers its schema's revision.

    The copy is complete up to one moment, and checked. Raises BackupExists rather than replace a file.
    """
    if not database.exists():
        raise NoDatabase(f"there is no database {database}")
    if target.exists():
        raise BackupExists(f"{target} exists")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(target) as draft:
        try:
            copy(database, draft)
        except sqlite3.DatabaseError as error:
            hint = "Put back an earlier backup with 'repomesh restore FILE'."
            raise DamagedDatabase(f"{database} can't be copied: {error}", hint=hint) from None
        revision = check(draft)
        draft.replace(target)
    return revision


def restore(data: Path, source: Path) -> Path | None:
    """Put a backup in the place of the folder's database; answers where the replaced one is kept.

    The caller holds the folder. Raises DamagedDatabase or SchemaTooNew before anything is changed.
    """
    if not source.is_file():
        raise NotFound(f"there is no file {source}", hint="Name a file that 'repomesh backup' made.")
    database = data / folder.DATABASE
    with _draft(database) as draft:
        _copy_of_closed(source, draft)
        migrate.require_known(check(draft))
        aside = _set_aside(database, data / BACKUPS)
        draft.replace(database)
    return aside


def check(database: Path) -> str | None:
    """The schema's revision of a database file; raises DamagedDatabase unless it is whole and ours."""
    try:
        with closing(sqlite3.connect(_read_only(database), uri=True)) as connection:
            verdict = connection.execute("PRAGMA integrity_check(3)").fetchall()
            if verdict != [("ok",)]:
                raise DamagedDatabase(f"{database} is damaged: {'; '.join(line for (line,) in verdict)}")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise DamagedDatabase(f"{database} is no database of repomesh: {error}") from None
    return None if row is None else str(row[0])


def quick_check(database: Path) -> list[str]:
    """What SQLite finds wrong with a database that may be in use; nothing when it is whole."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            found = [str(line) for (line,) in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A file beside `target`, for its owner only, that the block gives the name when it is whole."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
        descriptor = os.open(target.parent, os.O_RDONLY)
        os.fsync(descriptor)  # the name, too, survives a power cut
        os.close(descriptor)
    finally:
        for side in _SIDES:
            draft.with_name(draft.name + side).unlink(missing_ok=True)


def _copy_of_closed(source: Path, target: Path) -> None:
    """Copy through SQLite, which takes along what stands in a log beside the source."""
    try:
        with (
            closing(sqlite3.connect(_read_only(source), uri=True)) as origin,
            closing(sqlite3.connect(target)) as made,
        ):
            origin.backup(made)
    except sqlite3.Error as error:
        raise DamagedDatabase(f"{source} is no database: {error}") from None


def _read_only(database: Path) -> str:
    """A URI for reading; a file without a log beside it is not touched at all."""
    alone = not database.with_name(f"{database.name}-wal").exists()
    return f"file:{quote(str(database.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"


def _set_aside(database: Path, kept: Path) -> Path | None:
    if not database.exists():
        return None
    kept.mkdir(mode=0o700, exist_ok=True)
    aside = kept / f"replaced-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.db"
    for side in reversed(_SIDES):  # the file itself last: until then it is still in its place
        part = database.with_name(database.name + side)
        if part.exists():
            part.replace(aside.with_name(aside.name + side))
    return aside
