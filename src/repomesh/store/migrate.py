"""Schema versions: what the database has, what this release needs, and the way from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from repomesh.kernel.errors import Conflict, Unavailable
from repomesh.store.base import Store

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0031"
"""The newest revision; a constant so that a start needn't load the migration tool when nothing is due."""

# One migrating server at a time, and one that starts; any two constants will do.
_LOCK_KEY = 7_238_110_001
_START_KEY = 7_238_110_002


class SchemaTooNew(Conflict):
    """The database was written by a newer release, which this one can't read."""

    code = "schema_too_new"
    hint = (
        "Start the release that wrote it, or restore the backup from before the migration: "
        "'repomesh restore FILE'."
    )


class SchemaOutdated(Conflict):
    """The database is older than this release needs."""

    code = "schema_outdated"
    hint = "Run 'repomesh db upgrade', which makes a backup first."


def current(store: Store) -> str | None:
    """The database's revision, None for an empty one; raises Unavailable if it does not answer."""
    engine = store.migration_engine()
    try:
        with engine.connect() as connection:
            return _revision(connection)
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"the database does not answer: {reason}") from error
    finally:
        engine.dispose()


def check(store: Store) -> str:
    """The database's revision; raises SchemaOutdated or SchemaTooNew unless it is this release's."""
    revision = current(store)
    if revision == HEAD:
        return revision
    require_known(revision)
    raise SchemaOutdated(f"the database has schema {revision or 'none'}, this release needs {HEAD}")


def upgrade(store: Store, target: str = "head") -> None:
    """Bring the database to `target`; raises SchemaTooNew rather than touch a newer one."""
    revision = current(store)
    if revision == HEAD and target == "head":
        return
    require_known(revision)
    from alembic import command

    engine = store.migration_engine()
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, target)
        if engine.dialect.name == "sqlite":  # so that the file is a database without its log, too
            with closing(engine.raw_connection()) as driver, closing(driver.cursor()) as cursor:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.dispose()


def require_known(revision: str | None) -> None:
    """Raise SchemaTooNew for a revision that this release does not know."""
    if revision is not None and revision not in known_revisions():
        raise SchemaTooNew(f"the database has schema {revision}, this release knows up to {HEAD}")


@contextmanager
def lock_startup(store: Store) -> Iterator[None]:
    """Lock the start of servers on a shared database inside the context; a data folder has its own lock."""
    engine = store.migration_engine()
    try:
        if engine.dialect.name != "postgresql":
            yield
            return
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _START_KEY})
            yield
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _START_KEY})
    finally:
        engine.dispose()  # which ends the session, and with it the lock however this ended


def known_revisions() -> list[str]:
    """Every revision of this release, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in reversed(list(scripts.walk_revisions()))]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
