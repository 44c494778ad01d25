"""Opens the store that the settings name."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.kernel.clock import Clock, system_clock
from repomesh.kernel.errors import InvalidRequest
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store import folder
from repomesh.store.base import Store


def open_store(
    settings: Settings, metrics: Metrics, clock: Clock = system_clock, damage: Sequence[str] = ()
) -> Store:
    """The store of `database_url`, or the one in the data folder, which with `damage` is only read.

    The drivers are loaded on demand. Raises InvalidRequest for another kind of URL, and when the driver of
    PostgreSQL is not installed.
    """
    url = settings.database_url
    if url is None:
        from repomesh.store.sqlite import SqliteStore

        return SqliteStore(settings.data / folder.DATABASE, settings, metrics, clock, damage)
    if not url.startswith(("postgresql://", "postgres://")):
        raise InvalidRequest(
            "the database URL must begin with postgresql://",
            hint="Give postgresql://USER@HOST/DATABASE, or leave it out to use the data folder.",
        )
    try:
        import psycopg  # noqa: F401 - only to say early that the extra is missing
    except ImportError as missing:
        raise InvalidRequest(
            "the PostgreSQL driver is not installed", hint="Install it: pip install 'repomesh[postgres]'"
        ) from missing
    from repomesh.store.postgres import PostgresStore

    return PostgresStore(url.replace("postgres://", "postgresql://", 1), settings, metrics, clock)
