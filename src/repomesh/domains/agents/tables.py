"""Tables of agents and their instances."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Json, Moment, Uuid

agents = Table(
    "agents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Ascii, nullable=False),
    Column("type", String(64), nullable=False),
    Column("program", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_text", String(200), nullable=False),
    Column("resources", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("workspace_id", "name", name="uq_agents_workspace_id_name"),
    Index("ix_agents_status", "workspace_id", "status", "last_seen_at"),
)

instances = Table(
    "instances",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("token_id", Uuid, ForeignKey("tokens.id"), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("closed_reason", String(64)),
)
