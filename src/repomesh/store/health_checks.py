"""Checks of a database's health from outside, whether a server uses it or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import backups, folder, migrate, opening, restoring
from repomesh.store.open import open_store
from repomesh.store.record_check import check_records

_RECORDS_S = 10.0  # for a look at the rows; about 5,000,000 short ones
_WAL_RESET_FIXED = (3, 51, 3)
_UPGRADE = "repomesh down; repomesh db upgrade"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `fix` is a command or a sentence that solves the problem; empty if fine."""

    name: str
    fine: bool
    detail: str
    fix: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Check engine, schema and integrity of the database that the settings name."""
    if settings.database_url is None:
        yield from _check_file(settings.data / folder.DATABASE, settings)
    else:
        yield from _check_server(settings)


def _check_file(database: Path, settings: Settings) -> Iterator[Finding]:
    yield Finding("engine", True, _engine_note())
    if restoring.is_pending(settings.data):
        yield Finding("restore", False, "it was interrupted and is not finished", "repomesh up")
        return
    missing_database = opening.find_missing_database(settings.data)
    if missing_database is not None:
        yield Finding("database", False, missing_database.message, missing_database.hint)
        return
    if not database.exists():
        yield Finding("schema", True, "there is no database yet; the first start makes it")
        return
    problems = backups.quick_check(database).problems
    if problems:
        newest = backups.newest(settings.data) or "FILE"
        yield Finding("integrity", False, "; ".join(problems), f"repomesh down; repomesh restore {newest}")
        return
    yield Finding("integrity", True, "whole (quick_check)")
    yield _check_records(database)
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:  # no such table: nothing was ever migrated
            row = None
        foreign = backups.foreign_objects(connection)
    yield _check_schema(None if row is None else str(row[0]))
    if foreign:
        fix = "Put back a backup that nobody changed: repomesh down; repomesh restore FILE"
        yield Finding("schema", False, f"repomesh never makes {', '.join(foreign)}", fix)


def _check_records(database: Path) -> Finding:
    """Look for records whose pages are whole, but whose values the server can't read."""
    try:
        found = check_records(database, _RECORDS_S)
    except sqlite3.Error as error:
        return Finding("records", False, f"they can't be read: {error}", "repomesh doctor")
    if found.damaged:
        more = "" if found.complete else " and perhaps more"
        fix = (
            "Everything else works. Correct these rows while the server is stopped, or put back a backup "
            "that still has them: 'repomesh restore FILE'."
        )
        return Finding("records", False, f"these can't be read: {'; '.join(found.damaged)}{more}", fix)
    extent = "all" if found.complete else f"all that were looked at within {_RECORDS_S:.0f} s"
    return Finding("records", True, f"{extent} can be read")


def _check_server(settings: Settings) -> Iterator[Finding]:
    try:
        store = open_store(settings, Metrics())
    except RepomeshError as error:
        yield Finding("engine", False, error.message, error.hint)
        return
    try:
        description = store.describe()
        yield Finding(
            "engine", True, f"{description['engine']} {description['version']} at {description['place']}"
        )
        disabled = [
            f"{name} is {description[name]}"
            for name in ("fsync", "synchronous_commit")
            if description[name] == "off"
        ]
        yield Finding(
            "durability",
            not disabled,
            "; ".join(disabled) or "fsync and synchronous_commit are on",
            "Set them to on in postgresql.conf: what is acknowledged may be lost otherwise."
            if disabled
            else "",
        )
        yield _check_schema(migrate.current(store))
    except DBAPIError as error:
        reason = str(error.orig).strip().replace("\n", " ")
        yield Finding("engine", False, f"it does not answer: {reason}", "Start it, or correct the URL.")
    finally:
        store.close()


def _check_schema(revision: str | None) -> Finding:
    if revision is None:
        return Finding("schema", True, "the database is empty; the first start fills it")
    if revision == migrate.HEAD:
        return Finding("schema", True, f"{revision}, as this release needs it")
    try:
        migrate.require_known(revision)
    except migrate.SchemaTooNew as error:
        return Finding("schema", False, error.message, error.hint)
    return Finding("schema", False, f"{revision}, this release needs {migrate.HEAD}", _UPGRADE)


def _engine_note() -> str:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= _WAL_RESET_FIXED:
        return f"SQLite {version}"
    return (
        f"SQLite {version}; its WAL-reset fault (fixed in 3.51.3) needs two connections that write: "
        "the server has one, so let no other program write to the file"
    )
