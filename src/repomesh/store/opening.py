"""Prepares a data folder's database for opening: finishes interrupted work, and refuses a missing database.

The caller of these functions holds the folder.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from repomesh.kernel.data_folder import DATABASE
from repomesh.kernel.errors import Conflict, Forbidden
from repomesh.kernel.private_files import listed, size_bytes
from repomesh.store import backups, drafts, prune, restoring

NOTE = "database.json"
"""The file that records that a database was made in this folder."""

_PRIVATE = 0o600
_PAGE_BYTES = 4096  # of SQLite; a file of one page holds no table


class DatabaseMissing(Conflict):
    """A database was made in this data folder, and it is gone or empty now."""

    code = "database_missing"
    hint = "Put a backup back with 'repomesh restore FILE', or begin with 'repomesh up --new-database'."


class DatabaseExists(Conflict):
    """A new database was requested, but one exists already."""

    code = "database_exists"
    hint = "Start without '--new-database', or name another data folder with '--data'."


class UnprotectedFile(Forbidden):
    """Other users of this machine may read a file of the database, and this user can't change that."""

    code = "unprotected_file"
    hint = "Ask the file's owner to run 'chmod 600 FILE'."


def prepare_file(data: Path, *, begin_anew: bool = False) -> list[str]:
    """Make the folder ready for its database to be opened; returns notes about that for people.

    Raises DatabaseMissing, unless `begin_anew`, rather than let an empty database replace one that was there;
    DatabaseExists, UnprotectedFile and, for a restore that can't be finished, DamagedDatabase.
    """
    notes = []
    finished_restore = restoring.finish(data)
    if finished_restore is not None:
        replaced_note = (
            f" The database that it replaced is {finished_restore.replaced}."
            if finished_restore.replaced
            else ""
        )
        notes.append(
            f"Finished the restore of {finished_restore.source}, which was interrupted.{replaced_note}"
        )
    if restoring.discard(data):
        notes.append("A restore was interrupted before it changed anything.")
    for folder in (data, data / backups.BACKUPS, data / prune.ARCHIVE):
        removed_drafts = drafts.sweep(folder)
        if removed_drafts:
            notes.append(
                f"Removed {len(removed_drafts)} unfinished file(s) of an interrupted command from {folder}."
            )
    _require_database(data, begin_anew=begin_anew)
    return [*notes, *_restrict_access(data)]


def record_database(data: Path) -> None:
    """Record that the folder has a database, so that a later start notices when it is gone."""
    if (data / NOTE).exists():
        return
    with drafts.draft(data / NOTE) as draft:
        draft.write_bytes(orjson.dumps({"made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}))
        drafts.sync_file(draft)
        draft.replace(data / NOTE)
    drafts.sync_folder(data)


def find_missing_database(data: Path) -> DatabaseMissing | None:
    """The error when a database was made in this folder, and is gone or empty now; else None."""
    if _has_database(data) or not (reason := _database_trace(data)):
        return None
    state = "is empty" if (data / DATABASE).exists() else "is gone"
    restore = f"repomesh restore {backups.newest(data) or 'FILE'}"
    return DatabaseMissing(
        f"{data / DATABASE} {state}, but {reason}",
        hint=f"Put a backup back: '{restore}'. Or begin with an empty one: 'repomesh up --new-database'.",
    )


def _has_database(data: Path) -> bool:
    """Whether the database file holds more than its first page, or has a log."""
    size = size_bytes(data / DATABASE) or 0
    return size > _PAGE_BYTES or bool(size and size_bytes(data / f"{DATABASE}-wal"))


def _require_database(data: Path, *, begin_anew: bool) -> None:
    if not begin_anew:
        if (refusal := find_missing_database(data)) is not None:
            raise refusal
    elif _has_database(data):
        raise DatabaseExists(f"{data / DATABASE} is a database")
    else:
        _set_log_aside(data / DATABASE)


def _database_trace(data: Path) -> str | None:
    """The sign, in words, that there was a database; None when there never was one."""
    if (data / NOTE).exists():
        return "a database was made in this folder"
    log = data / f"{DATABASE}-wal"
    if size_bytes(log):
        return f"{log.name} holds what was written to it"
    if backups.newest(data) is not None:
        return f"{data / backups.BACKUPS} holds backups of it"
    return None


def _set_log_aside(database: Path) -> None:
    """Move away the log of a database that is gone: SQLite removes it beside an empty database."""
    log = database.with_name(f"{DATABASE}-wal")
    if size_bytes(log):
        backup_folder = database.parent / backups.BACKUPS
        backup_folder.mkdir(mode=0o700, exist_ok=True)
        log.replace(backup_folder / f"replaced-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.db-wal")
        drafts.sync_folder(backup_folder)


def _restrict_access(data: Path) -> list[str]:
    """Remove other users' permissions on the database's files; returns a note for each changed file."""
    notes = []
    for path in _database_files(data):
        try:
            file_stat = path.lstat()
        except FileNotFoundError:  # SQLite removes a log that it needs no more
            continue
        if not stat.S_ISREG(file_stat.st_mode) or not file_stat.st_mode & 0o077:
            continue
        try:
            path.chmod(_PRIVATE)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise UnprotectedFile(
                f"others may read {path}, and this user can't change that",
                hint=f"Have its owner run: chmod 600 {path}",
            ) from None
        notes.append(
            f"{path} could be read by others (mode {file_stat.st_mode & 0o777:04o}); it can't any more."
        )
    return notes


def _database_files(data: Path) -> Iterator[Path]:
    """The files with agents' messages: the database, backups and archives."""
    for side in drafts.SIDES:
        if (path := data / f"{DATABASE}{side}").exists():
            yield path
    yield from listed(data / backups.BACKUPS, "*.db*")
    yield from listed(data / prune.ARCHIVE, "*.gz")
