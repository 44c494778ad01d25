"""Rows of channels: find them by name or id, and build the models from them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, or_, select

from repomesh.domains.agents.rules import name_key
from repomesh.domains.messaging.channels.errors import ChannelArchived, ChannelNotFound
from repomesh.domains.messaging.channels.models import Channel
from repomesh.domains.messaging.channels.tables import channel_members, channels
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_MEMBER_COUNT = (
    select(func.count())
    .where(
        channel_members.c.workspace_id == channels.c.workspace_id,
        channel_members.c.channel_id == channels.c.id,
    )
    .scalar_subquery()
)
COUNTED = select(channels, _MEMBER_COUNT.label("member_count"))
"""A select of channels, each with its `member_count`."""

_BY_REF = PreparedStatement(
    select(channels).where(
        channels.c.workspace_id == bindparam("ws"),
        or_(
            channels.c.name == bindparam("ref"),
            channels.c.name_key == bindparam("key"),
            channels.c.id == bindparam("ref"),
        ),
    )
)
_COUNTED_BY_ID = PreparedStatement(COUNTED.where(channels.c.id == bindparam("id")))
_IS_MEMBER = PreparedStatement(
    select(channel_members.c.joined_at).where(
        channel_members.c.workspace_id == bindparam("ws"),
        channel_members.c.channel_id == bindparam("channel"),
        channel_members.c.agent_id == bindparam("agent"),
    )
)


def find_channel(tx: Transaction, name_or_id: str) -> Any:
    """The row of the channel of this name, with or without '#' and in whatever case, or id.

    Raises ChannelNotFound.
    """
    ref = name_or_id.removeprefix("#")
    rows = tx.execute(_BY_REF, {"ws": tx.workspace_id, "ref": ref, "key": name_key(ref)}).all()
    if not rows:
        raise ChannelNotFound(f"there is no channel '#{ref}'")
    # A channel may bear another's id as its name only on purpose; the id then wins. So does the exact name
    # over one in another case, where an older release let both in.
    return min(rows, key=lambda row: (row.id != ref, row.name != ref))


def is_name_taken(tx: Transaction, name: str) -> bool:
    """Whether a channel has this name, in whatever case."""
    same_name = or_(channels.c.name == name, channels.c.name_key == name_key(name))
    in_workspace = channels.c.workspace_id == tx.workspace_id
    return tx.execute(select(channels.c.id).where(in_workspace, same_name)).first() is not None


def require_open(channel: Any) -> None:
    """Raise ChannelArchived unless the channel can be joined and sent to."""
    if channel.archived_at is not None:
        raise ChannelArchived(f"the channel '#{channel.name}' is archived")


def is_member(tx: Transaction, channel_id: str, agent_id: str) -> bool:
    """Whether an agent is in a channel."""
    key = {"ws": tx.workspace_id, "channel": channel_id, "agent": agent_id}
    return tx.execute(_IS_MEMBER, key).first() is not None


def show(tx: Transaction, channel_id: str) -> Channel:
    """Read a channel that exists, with its member count."""
    return as_channel(tx.execute(_COUNTED_BY_ID, {"id": channel_id}).one())


def as_channel(row: Any) -> Channel:
    """The channel in a row of `COUNTED`."""
    fields = row._asdict()
    del fields["workspace_id"], fields["name_key"]
    return Channel(**fields)
