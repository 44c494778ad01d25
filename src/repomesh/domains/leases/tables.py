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

from repomesh.store.tables import metadata, partial_index
from repomesh.store.types import Ascii, Timestamp, Uuid

# A lease that is over keeps its row for a while, so that its holder can learn why.
leases = Table(
    "leases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("workspace_id", Uuid, ForeignKey("workspaces.id"), nullable=False),
    Column("resource_type", String(16), nullable=False),
    Column("resource", Ascii, nullable=False),
    Column("prefix", Ascii, nullable=False),
    Column("kind", Ascii, nullable=False),  # see `prefilter.prefilter_columns`, also for the next two
    Column("name", Ascii),
    Column("depth", Integer),
    Column("mode", String(16), nullable=False),
    Column("agent_id", Uuid, ForeignKey("agents.id"), nullable=False),
    Column("agent_name", String(64), nullable=False),
    Column("instance_id", String(64)),
    Column("token_id", Uuid, nullable=False),
    Column("fencing_token", BigInteger, nullable=False),
    Column("task_id", Uuid),
    Column("note", Text, nullable=False),
    Column("ttl_us", BigInteger, nullable=False),
    Column("acquired_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    Column("max_hold_until", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Column("ended_reason", String(32)),
    Column("warned_s", Integer),  # the threshold in seconds at which its holder was last warned
    # Null unless the holder lost the lease. Then empty until an answer reports it, then the answer's receipt.
    Column("lost", String(64)),
    Index("ix_leases_fencing_token", "workspace_id", "fencing_token"),
)
OPEN = leases.c.ended_at.is_(None)
"""Not ended; it may be past its time."""
IS_PATTERN = leases.c.resource != leases.c.prefix
"""A path with wildcards: any request may have to be compared with it."""
_ended = leases.c.ended_at.is_not(None)
_lost = leases.c.lost.is_not(None)
for _name, _columns, _where in (
    ("ix_leases_prefix", ("resource_type", "prefix", "id"), OPEN),
    ("ix_leases_kind", ("resource_type", "kind", "prefix", "id"), OPEN),
    ("ix_leases_name", ("name", "prefix", "id"), and_(OPEN, leases.c.name.is_not(None))),
    ("ix_leases_depth", ("depth", "kind", "prefix", "id"), and_(OPEN, leases.c.depth.is_not(None))),
    ("ix_leases_holder", ("agent_id", "token_id"), OPEN),
    ("ix_leases_expiry", ("expires_at",), OPEN),
    ("ix_leases_ended", ("ended_at",), _ended),
    ("ix_leases_lost", ("agent_id", "lost"), _lost),
    ("ix_leases_patterns", ("agent_id",), and_(OPEN, IS_PATTERN)),
):
    partial_index(
        _name,
        leases.c.workspace_id,
        *(leases.c[column] for column in _columns),
        where=_where,
    )
partial_index("ix_leases_due", leases.c.expires_at, leases.c.workspace_id, where=OPEN)

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
    Column("kind", Ascii, nullable=False),  # see `prefilter.prefilter_columns`, also for the next two
    Column("name", Ascii),
    Column("depth", Integer),
    Column("mode", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("since", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("id", "ordinal"),
    Index("ix_lock_waiters_prefix", "workspace_id", "resource_type", "prefix", "id", "ordinal"),
    Index("ix_lock_waiters_kind", "workspace_id", "resource_type", "kind", "prefix", "id", "ordinal"),
    Index("ix_lock_waiters_request", "workspace_id", "agent_id", "request_hash"),
    Index("ix_lock_waiters_expiry", "workspace_id", "expires_at"),
    Index("ix_lock_waiters_due", "expires_at", "workspace_id"),
)

for _column, _first in (("name", ("name",)), ("depth", ("depth", "kind"))):
    _of_files = lock_waiters.c[_column].is_not(None)
    partial_index(
        f"ix_lock_waiters_{_column}",
        lock_waiters.c.workspace_id,
        *(lock_waiters.c[column] for column in (*_first, "prefix", "id", "ordinal")),
        where=_of_files,
    )

# Nearly every lease that is not ended is live, so an index on time is the wrong one to ask whether it is:
# the sum hides the column from a planner that has no statistics. `now` is a parameter.
unindexed_expiry = type_coerce(leases.c.expires_at + literal_column("0"), Timestamp())
LIVE = and_(leases.c.ended_at.is_(None), unindexed_expiry > bindparam("now", type_=Timestamp()))
