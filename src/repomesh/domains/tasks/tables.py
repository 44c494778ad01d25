"""Tables of tasks: what they are, what they wait for, their tags, and who held them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    and_,
    literal_column,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("goal", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("type", String(16), nullable=False),
    # Minus the priority: rank and id ascend together, so that one row comparison finds the next page.
    Column("rank", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("dependencies", Json, nullable=False),  # as they were given; the edges stand below
    Column("unmet", Integer, nullable=False),  # dependencies that are not done
    Column("scope", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("review_required", Boolean, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id")),
    Column("agent_name", String(64)),  # as the agent was called while it held the task
    Column("fencing_token", BigInteger),
    Column("percent", Integer),
    Column("note", Text, nullable=False),
    Column("result", Text),
    Column("reason", Text, nullable=False),
    Column("created_by", Uuid),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("version", Integer, nullable=False),
    Column("assignee_id", Uuid),  # who alone may claim it
    Column("assignee_name", String(64)),
    Index("ix_tasks_workspace", "workspace_id", "id"),
    Index("ix_tasks_status", "workspace_id", "status", "id"),
)
_held = tasks.c.agent_id.is_not(None)
partial_index(
    "ix_tasks_agent",
    tasks.c.workspace_id,
    tasks.c.agent_id,
    tasks.c.id,
    where=_held,
)
# What can be claimed, best first: as cheap to find among 100,000 tasks as among ten.
# Written out rather than bound: a partial index serves only queries that are seen to imply it.
READY = and_(tasks.c.status == literal_column("'open'"), tasks.c.unmet == literal_column("0"))
partial_index(
    "ix_tasks_ready",
    tasks.c.workspace_id,
    tasks.c.rank,
    tasks.c.id,
    where=READY,
)

task_dependencies = Table(
    "task_dependencies",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("task_id", Uuid, ForeignKey("tasks.id"), primary_key=True),
    Column("depends_on", Uuid, ForeignKey("tasks.id"), primary_key=True),
    Index("ix_task_dependencies_depends_on", "workspace_id", "depends_on", "task_id"),
)

task_tags = Table(
    "task_tags",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("tag", String(64), primary_key=True),
    Column("task_id", Uuid, ForeignKey("tasks.id"), primary_key=True),
    Index("ix_task_tags_task_id", "workspace_id", "task_id"),
)

task_attempts = Table(
    "task_attempts",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("task_id", Uuid, ForeignKey("tasks.id"), primary_key=True),
    Column("fencing_token", BigInteger, primary_key=True, autoincrement=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", String(64), nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("outcome", String(16)),
    Column("reason", Text, nullable=False),
)
