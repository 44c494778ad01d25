"""Tables of workspaces and tokens."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text, and_

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("path", Text),
    Column("home", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("removed_at", Timestamp),
)
_present = workspaces.c.removed_at.is_(None)
partial_index("uq_workspaces_name", workspaces.c.name, unique=True, where=_present)

# Only hashes of secrets are kept. `agent_id` is not a foreign key: tokens come before agents.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("label", String(200), nullable=False),
    Column("agent_id", Uuid),
    Column("instance_id", String(64)),
    Column("created_at", Timestamp, nullable=False),
    Column("revoked_at", Timestamp),
    Column("scopes", Json),
    Column("expires_at", Timestamp),
    Index("uq_tokens_hash", "hash", unique=True),
    Index("ix_tokens_agent", "workspace_id", "agent_id"),
)
_ends = and_(tokens.c.expires_at.is_not(None), tokens.c.revoked_at.is_(None))
partial_index(
    "ix_tokens_expiry",
    tokens.c.expires_at,
    tokens.c.workspace_id,
    where=_ends,
)
