"""Tables of deliveries: each try to put messages before a model."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, String, Table, and_

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

# One try to put messages before a model: what was handed out under a boundary, by which route, to which
# CLI session. It left the server in time at `sent_at`; the boundary was known to be in the model's context
# at `confirmed_at`; or it came to nothing, at `failed_at` and for the reason `failure`.
deliveries = Table(
    "deliveries",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("boundary", String(64), primary_key=True),
    Column("agent_id", Uuid, nullable=False),
    Column("cli", String(32)),
    Column("session_id", String(128)),
    Column("route", String(32), nullable=False),
    Column("message_ids", Json, nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("sent_at", Timestamp),
    Column("confirmed_at", Timestamp),
    Column("failed_at", Timestamp),
    Column("failure", String(200)),
    Index("ix_deliveries_at", "workspace_id", "at"),
)
_undecided = and_(deliveries.c.confirmed_at.is_(None), deliveries.c.failed_at.is_(None))
partial_index(
    "ix_deliveries_open",
    deliveries.c.workspace_id,
    deliveries.c.cli,
    deliveries.c.session_id,
    deliveries.c.at,
    where=_undecided,
)

# Which messages each delivery carried, found by the message.
delivery_messages = Table(
    "delivery_messages",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("message_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("boundary", String(64), primary_key=True),
    ForeignKeyConstraint(
        ["workspace_id", "boundary"],
        ["deliveries.workspace_id", "deliveries.boundary"],
        name="fk_delivery_messages_delivery",
    ),
    Index("ix_delivery_messages_boundary", "workspace_id", "boundary"),
)
