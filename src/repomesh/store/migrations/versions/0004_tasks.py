"""The tables of the domain `tasks`."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Timestamp, Uuid

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of the domain `tasks`."""
    _tasks()
    _task_indexes()
    _what_belongs_to_tasks()


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", Uuid, nullable=False),
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("goal", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("dependencies", sa.Text, nullable=False),
        sa.Column("unmet", sa.Integer, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("capabilities", sa.Text, nullable=False),
        sa.Column("review_required", sa.Boolean, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("agent_id", Uuid),
        sa.Column("agent_name", sa.String(64)),
        sa.Column("fencing_token", sa.BigInteger),
        sa.Column("percent", sa.Integer),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", Uuid),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_tasks_workspace_id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_tasks_agent_id"),
    )


def _task_indexes() -> None:
    is_held = sa.text("agent_id IS NOT NULL")
    ready = sa.text("status = 'open' AND unmet = 0")
    op.create_index("ix_tasks_workspace", "tasks", ["workspace_id", "id"])
    op.create_index("ix_tasks_status", "tasks", ["workspace_id", "status", "id"])
    op.create_index(
        "ix_tasks_agent",
        "tasks",
        ["workspace_id", "agent_id", "id"],
        sqlite_where=is_held,
        postgresql_where=is_held,
    )
    op.create_index(
        "ix_tasks_ready",
        "tasks",
        ["workspace_id", "rank", "id"],
        sqlite_where=ready,
        postgresql_where=ready,
    )


def _what_belongs_to_tasks() -> None:
    op.create_table(
        "task_dependencies",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("task_id", Uuid, nullable=False),
        sa.Column("depends_on", Uuid, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "task_id", "depends_on", name="pk_task_dependencies"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_dependencies_task_id"),
        sa.ForeignKeyConstraint(["depends_on"], ["tasks.id"], name="fk_task_dependencies_depends_on"),
    )
    op.create_index(
        "ix_task_dependencies_depends_on", "task_dependencies", ["workspace_id", "depends_on", "task_id"]
    )
    op.create_table(
        "task_tags",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("tag", sa.String(64), nullable=False),
        sa.Column("task_id", Uuid, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "tag", "task_id", name="pk_task_tags"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_tags_task_id"),
    )
    op.create_index("ix_task_tags_task_id", "task_tags", ["workspace_id", "task_id"])
    op.create_table(
        "task_attempts",
        sa.Column("workspace_id", Uuid, nullable=False),
        sa.Column("task_id", Uuid, nullable=False),
        sa.Column("fencing_token", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("agent_id", Uuid, nullable=False),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("started_at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp),
        sa.Column("outcome", sa.String(16)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "task_id", "fencing_token", name="pk_task_attempts"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_attempts_task_id"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_task_attempts_agent_id"),
    )
