"""The table of decisions."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from repomesh.store.tables import metadata
from repomesh.store.types import Json, Timestamp, Uuid

decisions = Table(
    "decisions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("rationale", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("meeting_id", Uuid),
    Column("round", Integer),
    Column("consensus", String(16)),
    Column("positions", Json, nullable=False),
    Column("related_message_ids", Json, nullable=False),
    Column("related_task_ids", Json, nullable=False),
    Column("task_ids", Json, nullable=False),
    Column("supersedes_id", Uuid),
    Column("superseded_by_id", Uuid),
    Column("overruled_by", String(64)),
    Column("recorded_by", String(64)),
    Column("recorded_by_id", Uuid),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_decisions_status", "workspace_id", "status", "id"),
    Index("ix_decisions_meeting", "workspace_id", "meeting_id"),
)
