"""What is due is found in all workspaces at once, in the order of time."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_INDEXES = (
    ("ix_agents_silent", "agents", ("last_seen_at", "workspace_id"), "status = 'active'"),
    ("ix_leases_due", "leases", ("expires_at", "workspace_id"), "ended_at IS NULL"),
    ("ix_lock_waiters_due", "lock_waiters", ("expires_at", "workspace_id"), None),
    ("ix_messages_due_anywhere", "messages", ("due_at", "workspace_id"), "due_at IS NOT NULL"),
    ("ix_questions_due_anywhere", "questions", ("deadline_at", "workspace_id"), "status = 'open'"),
    ("ix_meetings_due_anywhere", "meetings", ("due_at", "workspace_id"), "status = 'in_progress'"),
    ("ix_memories_updated_anywhere", "memories", ("updated_at", "workspace_id"), None),
    ("ix_sessions_deleting", "sessions", ("workspace_id", "uid"), "status = 'deleting'"),
)


def upgrade() -> None:
    """Find due rows of every workspace by their time, and the few that a sweep may have to go on with."""
    for name, table, columns, condition in _INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)
