"""A database seen, and held, from outside of its server: so that it is known what a kill interrupts."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from repomesh.kernel.settings import Settings
from repomesh.store import folder

# A process of its own, which is killed like the server: an orderly end would tidy up after the server.
_HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Outside:
    """The database of a server, from outside of it."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.data / folder.DATABASE
        self._url = settings.database_url

    def column(self, statement: str) -> list[Any]:
        """The first column of what a query finds among what is committed."""
        if self._url is not None:
            with psycopg.connect(self._url, autocommit=True) as connection:
                return [row[0] for row in connection.execute(statement.encode())]
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=30)) as connection:
            return [row[0] for row in connection.execute(statement)]

    def wait_for(self, statement: str) -> None:
        """Wait until a query finds something that is committed."""
        deadline = time.monotonic() + 60
        while not self.column(statement):
            assert time.monotonic() < deadline, f"not committed within a minute: {statement}"
            time.sleep(0.002)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody commit what others can see, until the block ends."""
        if self._url is None:
            with self._file_held():
                yield
            return
        with psycopg.connect(self._url) as connection:
            # A command writes its events last: all that it does is done, and waits for this to be committed.
            connection.execute("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE")
            yield

    @contextmanager
    def _file_held(self) -> Iterator[None]:
        command = [sys.executable, "-I", "-S", "-c", _HOLDER, str(self._file)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == b"held\n"
                yield
            finally:
                holder.kill()
