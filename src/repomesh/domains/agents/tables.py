"""Tables of agents, their instances, and the CLI sessions that speak as them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Ascii, Json, Timestamp, Uuid

# `name_key` is the name as names are compared. Where an older release let in names that differ in case only,
# the later agents have 'key#id', which no name is: their exact names alone reach them.
agents = Table(
    "agents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("name", Ascii, nullable=False),
    Column("name_key", Ascii, nullable=False),
    Column("type", String(64), nullable=False),
    Column("program", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("status_text", String(200), nullable=False),
    Column("resources", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("workspace_id", "name", name="uq_agents_workspace_id_name"),
    Index("ix_agents_name_key", "workspace_id", "name_key", unique=True),
    Index("ix_agents_status", "workspace_id", "status", "last_seen_at"),
)

# Written out rather than bound: a partial index serves only queries that are seen to imply it.
ACTIVE = agents.c.status == literal_column("'active'")
partial_index(
    "ix_agents_silent",
    agents.c.last_seen_at,
    agents.c.workspace_id,
    where=ACTIVE,
)

# The names that agents had before they were renamed, as names are compared. Nobody else can take them.
former_names = Table(
    "former_names",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("name_key", Ascii, primary_key=True),
    Column("name", Ascii, nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("until", Timestamp, nullable=False),
    Index("ix_former_names_agent", "workspace_id", "agent_id"),
)

# `claimed_by_agent`, here and of CLI sessions: an agent's own token named the process, and not the owner's.
# Such a claim binds nobody but that agent.
instances = Table(
    "instances",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("token_id", Uuid, ForeignKey("tokens.id"), nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp),
    Column("closed_reason", String(64)),
    Column("process_id", String(64)),
    Column("claimed_by_agent", Boolean, nullable=False),
)

# A run of an agent's CLI, as its hooks tell of it. `processes` are the ancestors of the hook that told of it
# first, nearest first; `stop_told` the messages told at blocked ends of the present turn.
cli_sessions = Table(
    "cli_sessions",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("cli", String(32), primary_key=True),
    Column("session_id", String(128), primary_key=True),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("instance_id", String(64), nullable=False),
    Column("processes", Json, nullable=False),
    Column("transcript_path", Text),
    Column("cwd", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("stop_blocks", Integer, nullable=False),
    Column("stop_told", Json, nullable=False),
    Column("briefing_due", Boolean, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("last_hook_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("ended_reason", String(64)),
    Column("claimed_by_agent", Boolean, nullable=False),
)
_live = cli_sessions.c.ended_at.is_(None)
partial_index(
    "ix_cli_sessions_live",
    cli_sessions.c.workspace_id,
    cli_sessions.c.agent_id,
    where=_live,
)
