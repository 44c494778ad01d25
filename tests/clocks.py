"""Clocks that tests move: a machine's, and that of a database for all of its connections."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import psycopg

# A function of the database's own, found before the built-in one of the same name.
_INSTALL = """
CREATE SCHEMA IF NOT EXISTS testing;
CREATE TABLE IF NOT EXISTS testing.clock (still timestamptz, ahead interval NOT NULL);
DELETE FROM testing.clock;
INSERT INTO testing.clock VALUES (NULL, interval '0');
CREATE OR REPLACE FUNCTION testing.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT coalesce(still, pg_catalog.clock_timestamp()) + ahead FROM testing.clock';
DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET search_path = public, testing, pg_catalog', current_database());
END $$;
"""


class DatabaseClock:
    """The clock of a PostgreSQL database, as everybody reads it who connects from now on."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_INSTALL)

    def advance(self, seconds: float) -> None:
        """Move it, back for less than nothing."""
        self._connection.execute("UPDATE testing.clock SET ahead = ahead + %s", [timedelta(seconds=seconds)])

    def stop_at(self, moment: datetime) -> None:
        """Let it stand still but for what it is advanced by."""
        self._connection.execute("UPDATE testing.clock SET still = %s, ahead = '0'", [moment])

    def close(self) -> None:
        self._connection.close()


class MovableClock:
    """The clocks of this machine, plus what a test has moved them by."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self._passed_s = 0.0
        self.database: DatabaseClock | None = None

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def elapsed_s(self) -> float:
        return time.monotonic() + self._passed_s

    def governs(self, database_url: str) -> None:
        """Let time pass for a database, too."""
        self.database = DatabaseClock(database_url)

    def advance(self, seconds: float) -> None:
        """Let time pass, for everything there is."""
        self.offset += timedelta(seconds=seconds)
        self._passed_s += seconds
        if self.database is not None:
            self.database.advance(seconds)

    def put_back(self, seconds: float) -> None:
        """Set the wall clocks back, while the same time as ever passes."""
        self.offset -= timedelta(seconds=seconds)
        if self.database is not None:
            self.database.advance(-seconds)

    def close(self) -> None:
        if self.database is not None:
            self.database.close()


class StillClock:
    """Stands still until it is moved, so that a model and the server agree on every moment."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self._database: DatabaseClock | None = None

    def __call__(self) -> datetime:
        return self.now

    def elapsed_s(self) -> float:
        return self.now.timestamp()

    def governs(self, database_url: str) -> None:
        """Let a database keep the same time."""
        self._database = DatabaseClock(database_url)
        self._database.stop_at(self.now)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        if self._database is not None:
            self._database.advance(seconds)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
