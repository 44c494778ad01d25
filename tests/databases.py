"""Databases for tests: made and migrated once in each process, emptied for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from repomesh.kernel.clock import system_clock
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import folder, migrate
from repomesh.store.open import open_store
from repomesh.store.tables import metadata


@contextmanager
def new_database(admin: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, which is dropped at the end; a copy of the one of this name.

    Its commits don't wait for the disk: no test takes the power from the database's server.
    """
    name = f"repomesh_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        yield f"{admin.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class SharedDatabase:
    """A database for all tests of a process, with one connection that makes it ready for each."""

    def __init__(self, url: str, place: Path) -> None:
        self.url = url
        self._place = place
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        self._connection.close()

    def empty(self) -> None:
        """Take out what the test before left, and have the newest schema there."""
        ours = [table.name for table in metadata.sorted_tables]
        connection = self._connection
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found = {
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }
        if not {*ours, "alembic_version"} <= found or _revision(connection) != migrate.HEAD:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            _migrate(Settings(data=self._place, database_url=self.url))
            return
        foreign = found - {*ours, "alembic_version"}
        drops = [sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(name)) for name in foreign]
        deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in reversed(ours)]
        connection.execute(sql.SQL("; ").join(drops + deletes))  # at once: one trip, one transaction


def _revision(connection: psycopg.Connection) -> str | None:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def migrated_file(place: Path) -> Path:
    """A database file with the newest schema and nothing in it, to be copied."""
    _migrate(Settings(data=place))
    return place / folder.DATABASE


@contextmanager
def migrated_template(admin: str, place: Path) -> Iterator[str]:
    """The name of a database with the newest schema and nothing in it, to be copied by `new_database`."""
    with new_database(admin) as url:
        _migrate(Settings(data=place, database_url=url))
        yield url.rpartition("/")[2]


def _migrate(settings: Settings) -> None:
    store = open_store(settings, Metrics(), system_clock)
    migrate.upgrade(store)
    store.close()
