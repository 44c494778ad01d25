"""The store's own tables, and the metadata that every domain's tables join."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from repomesh.store.types import Ascii, Timestamp, Uuid

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def partial_index(
    name: str, *columns: ColumnElement[Any], where: ColumnElement[bool], unique: bool = False
) -> Index:
    """Declare an index over the rows of a table that meet `where`, alike on both engines.

    Write values in `where` out as literals: only queries that are seen to imply it use the index.
    """
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# The last number given out of each kind, in a row of its own that nothing references, so that
# counting never waits for a foreign-key check.
counters = Table(
    "counters",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("oldest_seq", BigInteger, nullable=False),
    Column("last_fencing_token", BigInteger, nullable=False),
    Column("last_at", Timestamp, nullable=False),  # of the last event; every later one bears a later time
    Column("left_at", Timestamp),  # when the server was last there before it was away, and when it was again
    Column("returned_at", Timestamp),
)
SERVER = ""
"""The `workspace_id` of the server's own counters, whose `last_at` is when it was last known to be there."""

events = Table(
    "events",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("type", Ascii, nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", String, nullable=False),
    Column("principal", String, nullable=False),
    Column("actor", Uuid),
    Column("audience", String(16), nullable=False),  # workspace, channel or agents
    Column("audience_ids", Text, nullable=False),  # the agents named, as ' id id ', or empty
    Column("channel_id", Uuid),
    Column("task_id", Uuid),
    Column("recipient_id", Uuid),
    Column("severity", String(16), nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("causation_id", String),
    Column("hop", Integer, nullable=False),
    Column("traceparent", String),
    Column("data", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    Index("ix_events_type", "workspace_id", "type", "seq"),
    Index("ix_events_actor", "workspace_id", "actor", "seq"),
    Index("ix_events_correlation", "workspace_id", "correlation_id", "seq"),
)
_notable = events.c.severity != "info"  # nearly all are, and are found along their numbers
partial_index(
    "ix_events_severity",
    events.c.workspace_id,
    events.c.severity,
    events.c.seq,
    where=_notable,
)
for _column in ("task_id", "channel_id"):
    partial_index(
        f"ix_events_{_column}",
        events.c.workspace_id,
        events.c[_column],
        events.c.seq,
        where=events.c[_column].is_not(None),
    )

idempotency_records = Table(
    "idempotency_records",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("principal", String, primary_key=True),
    Column("operation", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("result", LargeBinary, nullable=False),
    Column("at", Timestamp, nullable=False),
    Index("ix_idempotency_records_at", "at"),
)

# What can be found by its words. The words themselves stand in the engine's own full-text index, which
# the migration makes: an FTS5 table on one engine, a column of words with a GIN index on the other.
documents = Table(
    "documents",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("workspace_id", Uuid, nullable=False),
    Column("type", String(32), nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Index("ix_documents_subject", "workspace_id", "type", "subject_id"),
)

text_rebuild = Table(
    "text_rebuild",
    metadata,
    Column(
        "id", Integer, primary_key=True, autoincrement=False
    ),  # there is one row, or none when all are rebuilt
    Column("below", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
)
"""How far the documents of an older form are rebuilt, the newest first: those below `below` still have to be,
of all below `started_at`. Until then they are not found."""
