"""The table of waits that outlive the call which began them."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table, Text

from repomesh.store.tables import metadata
from repomesh.store.types import Json, Timestamp, Uuid

# `result` is the page that ended the wait, kept as JSON: a finished wait always returns the same.
waits = Table(
    "waits",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("agent_id", Uuid, nullable=False),
    Column("request", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("result", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("until", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Index("ix_waits_agent", "workspace_id", "agent_id", "status", "created_at"),
    Index("ix_waits_expires_at", "workspace_id", "expires_at"),
)
