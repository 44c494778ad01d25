"""Puts a backup in the place of the database; a kill at any moment leaves one of both, whole.

The backup is copied and checked first, under a name of its own. Then a plan is written: from this moment the
restore happens, if not by this process then by the one that opens the folder next. The plan is carried out by
steps of which each may be done again.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson

from repomesh.kernel import limits
from repomesh.kernel.data_folder import DATABASE
from repomesh.kernel.errors import NotFound
from repomesh.kernel.private_files import size_bytes
from repomesh.store import backup_contents, backups, drafts, migrate

PLAN = "restore.json"
_NEW = "restore.db"  # the checked copy of the backup, until it gets the database's name


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The source file of a finished restore, and the file of the database that it replaced."""

    source: str
    replaced: Path | None


def restore(data: Path, source: Path) -> RestoreResult:
    """Put a backup in the place of the folder's database, and its contents beside it.

    The caller holds the folder. Raises NotFound, DamagedDatabase, ForeignObjects, NoRoom or SchemaTooNew
    before anything is changed.
    """
    require_file(source)
    with suppress(backups.DamagedDatabase):  # a plan that can't be read has no claim on this one
        finish(data)
    drafts.sweep(data)
    database = data / DATABASE
    replaced_name = f"replaced-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.db"
    with drafts.draft(database) as draft:
        backups.copy_closed(source, draft)
        migrate.require_known(backups.check(draft))
        _raise_fencing_tokens(draft)
        drafts.sync_file(draft)
        if database.exists():  # what it names may not be named by the other, and be swept
            backup_contents.back_up_contents(
                data, backups.contents_of(data / backups.BACKUPS / replaced_name)
            )
        backup_contents.restore_contents(data, backups.contents_of(source))
        _checkpoint(database)
        (data / PLAN).unlink(missing_ok=True)
        draft.replace(data / _NEW)
    drafts.sync_folder(data)
    _write_plan(data, source, replaced_name)
    result = finish(data)
    assert result is not None, "a plan was written"
    return result


def _raise_fencing_tokens(database: Path) -> None:
    """Continue the fencing tokens behind those that were given out since the backup was made."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE counters SET last_fencing_token = last_fencing_token + ?",
            (limits.FENCING_TOKENS_SKIPPED,),
        )


def require_file(source: Path) -> None:
    """Raise NotFound unless there is a file to restore."""
    if not source.is_file():
        raise NotFound(f"there is no file {source}", hint="Name a file that 'repomesh backup' made.")


def is_pending(data: Path) -> bool:
    """Whether a restore was interrupted after it was decided."""
    return (data / PLAN).exists()


def discard(data: Path) -> bool:
    """Remove the copy of a restore that ended before it was decided; returns whether there was one."""
    new = data / _NEW
    if is_pending(data) or not new.exists():
        return False
    new.unlink(missing_ok=True)
    return True


def finish(data: Path) -> RestoreResult | None:
    """Carry out the plan of a restore, also one that was interrupted; None when there is none.

    The caller holds the folder.
    """
    new, database = data / _NEW, data / DATABASE
    plan = _read_plan(data)
    if plan is None:
        return None
    replaced = data / backups.BACKUPS / plan["replaced"]
    if new.exists():
        _set_aside(database, replaced)
        for side in ("-wal", "-shm"):  # SQLite would read an old log into the new file
            database.with_name(DATABASE + side).unlink(missing_ok=True)
        drafts.sync_folder(data)
        new.replace(database)
        drafts.sync_folder(data)
    (data / PLAN).unlink()
    drafts.sync_folder(data)
    return RestoreResult(plan["source"], replaced if replaced.exists() else None)


def _write_plan(data: Path, source: Path, replaced: str) -> None:
    with drafts.draft(data / PLAN) as draft:
        draft.write_bytes(orjson.dumps({"source": str(source.absolute()), "replaced": replaced}))
        drafts.sync_file(draft)
        draft.replace(data / PLAN)
    drafts.sync_folder(data)


def _read_plan(data: Path) -> dict[str, str] | None:
    try:
        plan = orjson.loads((data / PLAN).read_bytes())
        # A name, never a path: the file may come from somewhere else.
        return {"source": str(plan["source"]), "replaced": Path(str(plan["replaced"])).name}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        hint = (
            f"Restore once more with 'repomesh restore FILE', or remove {data / PLAN} to keep the database."
        )
        raise backups.DamagedDatabase(f"{data / PLAN} can't be read", hint=hint) from None


def _checkpoint(database: Path) -> None:
    """Write the log's changes into the database file, so that the file alone can be kept.

    A damaged file, or one on a full disk, is kept together with its log.
    """
    if not database.exists():
        return
    uri = f"file:{quote(str(database.absolute()))}?mode=rw"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _set_aside(database: Path, replaced: Path) -> None:
    """Link the database, and a log that is not empty, under a second name, unless that exists."""
    replaced.parent.mkdir(mode=0o700, exist_ok=True)
    for side in ("-wal", ""):
        file = database.with_name(database.name + side)
        second_name = replaced.with_name(replaced.name + side)
        size = size_bytes(file)
        if size is None or second_name.exists() or (side and size == 0):
            continue
        try:
            os.link(file, second_name)
        except FileNotFoundError:  # a log that SQLite needed no more
            continue
        except OSError:  # a file system without links: the plan finds its way from there, too
            file.replace(second_name)
    drafts.sync_folder(replaced.parent)
