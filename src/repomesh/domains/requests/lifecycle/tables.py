"""Tables of requests."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

# `roles` are the RolesSection that was in force when it arrived; `violations` PlanViolations of the last plan
# that was refused.
requests = Table(
    "requests",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("request_class", String(16), nullable=False),
    Column("class_detected", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("waits_for", String(8)),
    Column("priority", Integer, nullable=False),
    Column("approval", String(8), nullable=False),
    Column("stopped_reason", Text),
    Column("stopped_by", String(64)),
    Column("requester_id", Uuid),
    Column("requester_name", String(64), nullable=False),
    Column("files", Json, nullable=False),
    Column("attachments", Json, nullable=False),
    Column("roles", Json, nullable=False),
    Column("brief_version", Integer, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("violations", Json, nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("plan_due_at", Timestamp),  # when the server itself is to make the plan
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("version", Integer, nullable=False),
    Index("ix_requests_state", "workspace_id", "state", "id"),
)
partial_index(
    "ix_requests_plan_due",
    requests.c.plan_due_at,
    requests.c.workspace_id,
    where=requests.c.plan_due_at.is_not(None),
)

request_documents = Table(
    "request_documents",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("type", String(8), primary_key=True),  # brief or plan
    Column("version", Integer, primary_key=True),
    Column("document", Json, nullable=False),
    Column("risks", Json, nullable=False),
    Column("author_id", Uuid),
    Column("author_name", String(64), nullable=False),
    Column("approved_by", String(64)),
    Column("approved_at", Timestamp),
    Column("at", Timestamp, nullable=False),
)

# Tasks on the board that belong to a request: `role` is 'developer' for those of its plan, 'engineer' for the
# one that writes its brief, and 'orchestrator' for the one that makes its plan.
request_tasks = Table(
    "request_tasks",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("task_id", Uuid, primary_key=True),
    Column("request_id", Uuid, nullable=False),
    Column("key", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("position", Integer, nullable=False),
    Index("ix_request_tasks_request", "workspace_id", "request_id", "position"),
)
