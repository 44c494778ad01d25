"""Tables of changes and the merge queue."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    true,
)

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Json, Timestamp, Uuid

# `files` are ChangedFile. `owners` are the groups of owners of these files; `needed` says who must approve,
# both by the configuration when it was last looked at.
changes = Table(
    "changes",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("summary", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("waits_for", String(16)),
    Column("error_class", String(16)),
    Column("author_id", Uuid),
    Column("author_name", String(64), nullable=False),
    Column("target", String(200), nullable=False),
    Column("branch", String(200)),
    Column("base_commit", String(40), nullable=False),
    Column("head_commit", String(40), nullable=False),
    Column("patch_id", String(40), nullable=False),
    Column("built_base", String(40)),  # the commits between which this patch is, where a rebuild changed it
    Column("built_head", String(40)),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("tries", Integer, nullable=False),  # of the present attempt that failed by no fault of its own
    Column("priority", Integer, nullable=False),
    Column("task_id", Uuid),
    Column("fencing_token", BigInteger),
    Column("depends_on", Json, nullable=False),
    Column("declared_scope", Json, nullable=False),
    Column("tests", Json, nullable=False),
    Column("files", Json, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("lines_added", Integer, nullable=False),
    Column("lines_deleted", Integer, nullable=False),
    Column("risk_level", String(16), nullable=False),
    Column("risk_reasons", Json, nullable=False),
    Column("needed", Json, nullable=False),
    Column("owners", Json, nullable=False),
    Column("barrier", Boolean, nullable=False),
    Column("conflicts", Json, nullable=False),
    Column("landed_commit", String(40)),
    Column("landed_base", String(40)),  # the commit of the target on which it was built
    Column("merged_by", String(16)),
    Column("rolls_back", Json, nullable=False),  # ids of the landed changes that this one takes back
    Column("rolled_back_by", Uuid),
    Column("notice_id", Uuid),  # the message that asked its author to repair it
    Column("next_at", Timestamp),
    Column("queued_at", Timestamp),
    Column("approval_since", Timestamp),  # it lacks an approval, or lacked one, since then
    Column("escalates_h", Float, nullable=False),
    Column("expires_h", Float, nullable=False),
    Column("escalated_at", Timestamp),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("landed_at", Timestamp),
    Column("version", Integer, nullable=False),
    Index("ix_changes_state", "workspace_id", "state", "id"),
    Index("ix_changes_author", "workspace_id", "author_id", "id"),
)
partial_index(
    "ix_changes_task",
    changes.c.workspace_id,
    changes.c.task_id,
    changes.c.id,
    where=changes.c.task_id.is_not(None),
)
partial_index(
    "ix_changes_landed",
    changes.c.workspace_id,
    changes.c.landed_at,
    changes.c.id,
    where=changes.c.landed_at.is_not(None),
)

# A verdict on one patch. `patch_id` is part of the key: an agent may approve the next one, too.
change_approvals = Table(
    "change_approvals",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("change_id", Uuid, primary_key=True),
    Column("agent_id", Uuid, primary_key=True),
    Column("patch_id", String(40), primary_key=True),
    Column("agent_name", String(64), nullable=False),
    Column("by_person", Boolean, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "change_id"],
        ["changes.workspace_id", "changes.id"],
        name="fk_change_approvals_change",
    ),
)

# One way of a change through the queue.
change_attempts = Table(
    "change_attempts",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("change_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("base", String(40), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("error_class", String(16)),
    Column("reason", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "change_id"],
        ["changes.workspace_id", "changes.id"],
        name="fk_change_attempts_change",
    ),
    Index("ix_change_attempts_change", "workspace_id", "change_id", "id"),
    Index("ix_change_attempts_at", "workspace_id", "at"),
)

# The last result of a check on a tree: one that passed does not run again. `check_key` is a digest of what
# the check does.
check_results = Table(
    "check_results",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("tree", String(40), primary_key=True),
    Column("check_key", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("exit_code", Integer),
    Column("seconds", Float, nullable=False),
    Column("flaky", Boolean, nullable=False),
    Column("output", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    Index("ix_check_results_at", "at"),
)

# Which checks a change had on its way, so that they can be named behind its landing.
change_checks = Table(
    "change_checks",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("change_id", Uuid, primary_key=True),
    Column("tree", String(40), primary_key=True),
    Column("check_key", String(64), primary_key=True),
    Column("cached", Boolean, nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(
        ["workspace_id", "change_id"], ["changes.workspace_id", "changes.id"], name="fk_change_checks_change"
    ),
)

# A lane: the changes for one target branch. One worker at a time holds it, under `claimed_by`.
queue_lanes = Table(
    "queue_lanes",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("target", String(200), primary_key=True),
    Column("paused_reason", Text),
    Column("paused_by", String(64)),
    Column("paused_at", Timestamp),
    Column("claimed_by", Uuid),
    Column("claimed_until", Timestamp),
    Column("due_at", Timestamp),  # when a worker is to look at it next; null when nothing is under way
    Column("stall_at", Timestamp),  # it stands still if nothing has moved by then; null without work
    Column("stalled_at", Timestamp),
    Column(
        "woken", Boolean, nullable=False, server_default=true()
    ),  # somebody did something since a worker looked at all of it
    Column("updated_at", Timestamp, nullable=False),
)
partial_index(
    "ix_queue_lanes_due",
    queue_lanes.c.due_at,
    queue_lanes.c.workspace_id,
    where=queue_lanes.c.due_at.is_not(None),
)
partial_index(
    "ix_queue_lanes_stall",
    queue_lanes.c.stall_at,
    queue_lanes.c.workspace_id,
    where=queue_lanes.c.stall_at.is_not(None),
)

# A move of the target branch, written down before it happens: after a crash the branch itself decides.
landings = Table(
    "landings",
    metadata,
    Column("workspace_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("target", String(200), nullable=False),
    Column("old_commit", String(40), nullable=False),
    Column("new_commit", String(40), nullable=False),
    Column("commits", Json, nullable=False),  # of each change in it: id, commit, parent, merged_by
    Column("outcome", String(16), nullable=False),  # intended, landed or dropped
    Column("at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Index("ix_landings_outcome", "workspace_id", "target", "outcome", "id"),
)
