"""Databases on a PostgreSQL server, for sections that measure both engines."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

POSTGRES = os.environ.get("REPOMESH_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")


@contextmanager
def new_database() -> Iterator[str | None]:
    """The URL of a database of its own; None where no PostgreSQL answers."""
    name = f"repomesh_bench_{uuid.uuid4().hex[:12]}"
    try:
        with psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3) as connection:
            connection.execute(f"CREATE DATABASE {name}")
    except psycopg.OperationalError:
        yield None
        return
    try:
        yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def analyze(url: str) -> None:
    """Have the planner know how much there is, as a server's autovacuum does within a minute."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
