"""Tables of leases and of those who wait for one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    and_,
    bindparam,
    literal_column,
    type_coerce,
)

from repomesh.store.tables import metadata
from repomesh.store.types import Ascii, Moment, Uuid

# A lease that is over keeps its row for a while, so that its holder can be told why.
leases = Table(
    "leases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("resource_type", String(16), nullable=False),
    Column("resource", Ascii, nullable=False),
    Column("prefix", Ascii, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", String(64), nullable=False),
    Column("instance_id", String(64)),
    Column("token_id", Uuid, nullable=False),
    Column("fencing_token", BigInteger, nullable=False),
    Column("task_id", Uuid),
    Column("note", Text, nullable=False),
    Column("ttl_us", BigInteger, nullable=False),
    Column("acquired_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("max_hold_until", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ended_reason", String(32)),
    Column("warned_s", Integer),  # its holder was warned when so many seconds were left
    Index("ix_leases_fencing_token", "workspace_id", "fencing_token"),
)
_open = leases.c.ended_at.is_(None)
_over = leases.c.ended_at.is_not(None)
for _name, _columns, _where in (
    ("ix_leases_prefix", ("resource_type", "prefix", "id"), _open),
    ("ix_leases_holder", ("agent_id", "token_id"), _open),
    ("ix_leases_expiry", ("expires_at",), _open),
    ("ix_leases_ended", ("ended_at",), _over),
):
    Index(
        _name,
        leases.c.workspace_id,
        *(leases.c[column] for column in _columns),
        sqlite_where=_where,
        postgresql_where=_where,
    )

# A place in the queue: one row for each resource of a waiting request, all with its id and position.
lock_waiters = Table(
    "lock_waiters",
    metadata,
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", String(64), nullable=False),
    Column("resource_type", String(16), nullable=False),
    Column("resource", Ascii, nullable=False),
    Column("prefix", Ascii, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    PrimaryKeyConstraint("id", "ordinal"),
    Index("ix_lock_waiters_prefix", "workspace_id", "resource_type", "prefix"),
    Index("ix_lock_waiters_request", "workspace_id", "agent_id", "request_hash"),
    Index("ix_lock_waiters_expiry", "workspace_id", "expires_at"),
)

# Nearly every lease that is not ended is live, so an index on time is the wrong one to ask whether it is:
# the sum hides the column from a planner that has no statistics. `now` is a parameter.
unindexed_expiry = type_coerce(leases.c.expires_at + literal_column("0"), Moment())
LIVE = and_(leases.c.ended_at.is_(None), unindexed_expiry > bindparam("now", type_=Moment()))
