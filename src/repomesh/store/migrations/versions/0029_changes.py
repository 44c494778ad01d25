"""Changes, their approvals, attempts and checks, and the lanes in which they land."""

import sqlalchemy as sa
from alembic import op

from repomesh.store.types import Json, Timestamp, Uuid

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the tables of the merge queue; nothing is in it yet."""
    op.create_table(
        "changes",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("id", Uuid, primary_key=True),
        sa.Column("summary", sa.String(200), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("next_step", sa.Text, nullable=False),
        sa.Column("waits_for", sa.String(16)),
        sa.Column("error_class", sa.String(16)),
        sa.Column("author_id", Uuid),
        sa.Column("author_name", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("branch", sa.String(200)),
        sa.Column("base_commit", sa.String(40), nullable=False),
        sa.Column("head_commit", sa.String(40), nullable=False),
        sa.Column("patch_id", sa.String(40), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("task_id", Uuid),
        sa.Column("fencing_token", sa.BigInteger),
        sa.Column("depends_on", Json, nullable=False),
        sa.Column("declared_scope", Json, nullable=False),
        sa.Column("tests", Json, nullable=False),
        sa.Column("files", Json, nullable=False),
        sa.Column("file_count", sa.Integer, nullable=False),
        sa.Column("lines_added", sa.Integer, nullable=False),
        sa.Column("lines_deleted", sa.Integer, nullable=False),
        sa.Column("risk_level", sa.String(16), nullable=False),
        sa.Column("risk_reasons", Json, nullable=False),
        sa.Column("needed", Json, nullable=False),
        sa.Column("owners", Json, nullable=False),
        sa.Column("barrier", sa.Boolean, nullable=False),
        sa.Column("conflicts", Json, nullable=False),
        sa.Column("landed_commit", sa.String(40)),
        sa.Column("landed_base", sa.String(40)),
        sa.Column("merged_by", sa.String(16)),
        sa.Column("rolls_back", Json, nullable=False),
        sa.Column("rolled_back_by", Uuid),
        sa.Column("notice_id", Uuid),
        sa.Column("next_at", Timestamp),
        sa.Column("queued_at", Timestamp),
        sa.Column("approval_since", Timestamp),
        sa.Column("escalates_h", sa.Float, nullable=False),
        sa.Column("expires_h", sa.Float, nullable=False),
        sa.Column("escalated_at", Timestamp),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("updated_at", Timestamp, nullable=False),
        sa.Column("landed_at", Timestamp),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("ix_changes_state", "changes", ["workspace_id", "state", "id"])
    op.create_index("ix_changes_author", "changes", ["workspace_id", "author_id", "id"])
    op.create_table(
        "change_approvals",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("change_id", Uuid, primary_key=True),
        sa.Column("agent_id", Uuid, primary_key=True),
        sa.Column("patch_id", sa.String(40), primary_key=True),
        sa.Column("agent_name", sa.String(64), nullable=False),
        sa.Column("by_person", sa.Boolean, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "change_id"],
            ["changes.workspace_id", "changes.id"],
            name="fk_change_approvals_change",
        ),
    )
    op.create_table(
        "change_attempts",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("id", Uuid, primary_key=True),
        sa.Column("change_id", Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("base", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("error_class", sa.String(16)),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "change_id"],
            ["changes.workspace_id", "changes.id"],
            name="fk_change_attempts_change",
        ),
    )
    op.create_index("ix_change_attempts_change", "change_attempts", ["workspace_id", "change_id", "id"])
    op.create_index("ix_change_attempts_at", "change_attempts", ["workspace_id", "at"])
    op.create_table(
        "check_results",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("tree", sa.String(40), primary_key=True),
        sa.Column("check_key", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("flaky", sa.Boolean, nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
    )
    op.create_index("ix_check_results_at", "check_results", ["at"])
    op.create_table(
        "change_checks",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("change_id", Uuid, primary_key=True),
        sa.Column("tree", sa.String(40), primary_key=True),
        sa.Column("check_key", sa.String(64), primary_key=True),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "change_id"],
            ["changes.workspace_id", "changes.id"],
            name="fk_change_checks_change",
        ),
    )
    op.create_table(
        "queue_lanes",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("target", sa.String(200), primary_key=True),
        sa.Column("paused_reason", sa.Text),
        sa.Column("paused_by", sa.String(64)),
        sa.Column("paused_at", Timestamp),
        sa.Column("claimed_by", Uuid),
        sa.Column("claimed_until", Timestamp),
        sa.Column("due_at", Timestamp),
        sa.Column("stall_at", Timestamp),
        sa.Column("stalled_at", Timestamp),
        sa.Column("updated_at", Timestamp, nullable=False),
    )
    op.create_table(
        "landings",
        sa.Column("workspace_id", Uuid, primary_key=True),
        sa.Column("id", Uuid, primary_key=True),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("old_commit", sa.String(40), nullable=False),
        sa.Column("new_commit", sa.String(40), nullable=False),
        sa.Column("commits", Json, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("at", Timestamp, nullable=False),
        sa.Column("ended_at", Timestamp),
    )
    op.create_index("ix_landings_outcome", "landings", ["workspace_id", "target", "outcome", "id"])
    for name, table, columns, filled in (
        ("ix_changes_task", "changes", ["workspace_id", "task_id", "id"], "task_id"),
        ("ix_changes_landed", "changes", ["workspace_id", "landed_at", "id"], "landed_at"),
        ("ix_queue_lanes_due", "queue_lanes", ["due_at", "workspace_id"], "due_at"),
        ("ix_queue_lanes_stall", "queue_lanes", ["stall_at", "workspace_id"], "stall_at"),
    ):
        where = sa.text(f"{filled} IS NOT NULL")
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
