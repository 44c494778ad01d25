"""Operations on channels: make, list, join, leave, archive."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, insert, select, update

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.rules import name_key
from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.channels import rows
from repomesh.domains.messaging.channels.errors import (
    ChannelArchived,
    ChannelNameTaken,
    ChannelNotFound,
    NotYourChannel,
)
from repomesh.domains.messaging.channels.models import (
    CHANNEL_ARCHIVED,
    CHANNEL_CREATED,
    CHANNEL_JOINED,
    CHANNEL_LEFT,
    Channel,
    ChannelChanged,
    ChannelChosen,
    ChannelMember,
    ChannelMembership,
    CreateChannel,
    JoinChannel,
    ListChannelMembers,
    ListChannels,
)
from repomesh.domains.messaging.channels.tables import channel_members, channels
from repomesh.kernel.fields import Page
from repomesh.kernel.ids import UUID_PATTERN
from repomesh.kernel.operation import Get, Post, Tool, command, query
from repomesh.store.listing import Listing, whether
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction


@command(
    "channel.create",
    http=Post("/v1/channels", status=201),
    scope="channels:write",
    errors=(ChannelNameTaken,),
)
def create_channel(tx: Transaction, request: CreateChannel) -> Channel:
    """Create a channel; the acting agent, if there is one, joins it."""
    if rows.is_name_taken(tx, request.name):
        raise ChannelNameTaken(f"there is a channel '#{request.name}' already")
    return _create(tx, request.name, request.description)


def _has_member(tx: Transaction, agent: str) -> ColumnElement[bool]:
    member = channel_members.alias("member").c
    return exists().where(
        member.workspace_id == tx.workspace_id,
        member.channel_id == channels.c.id,
        member.agent_id == find_agent(tx, agent).id,
    )


_LISTING = Listing(
    Page[Channel],
    rows.as_channel,
    keys=(channels.c.name,),
    filters={
        "archived": whether(channels.c.archived_at.is_not(None)),
        "name_prefix": lambda _tx, prefix: channels.c.name_key.startswith(name_key(prefix), autoescape=True),
        "member": _has_member,
    },
)


@query("channel.list", http=Get("/v1/channels"), scope="channels:read", errors=(AgentNotFound,))
def list_channels(tx: Transaction, request: ListChannels) -> Page[Channel]:
    """List channels by name."""
    return _LISTING.read(tx, rows.COUNTED.where(channels.c.workspace_id == tx.workspace_id), request)


@query("channel.show", http=Get("/v1/channels/{channel}"), scope="channels:read", errors=(ChannelNotFound,))
def show_channel(tx: Transaction, request: ChannelChosen) -> Channel:
    """Show a channel, by name or id."""
    return rows.show(tx, rows.find_channel(tx, request.channel).id)


@command(
    "channel.archive",
    http=Post("/v1/channels/{channel}/archive"),
    scope="channels:write",
    errors=(ChannelNotFound, NotYourChannel),
)
def archive_channel(tx: Transaction, request: ChannelChosen) -> Channel:
    """Archive a channel for good: it can be read, but nobody joins it or sends to it."""
    row = rows.find_channel(tx, request.channel)
    caller = tx.caller
    is_owner = caller.is_admin and caller.agent_id is None
    if not is_owner and caller.agent_id != row.created_by:
        raise NotYourChannel(f"you did not make '#{row.name}'")
    still_open = channels.c.id == row.id, channels.c.archived_at.is_(None)
    closed = tx.change(update(channels).where(*still_open).values(archived_at=tx.now))
    channel = rows.show(tx, row.id)
    if closed:
        _emit_changed(tx, CHANNEL_ARCHIVED, channel, ChannelChanged(channel=channel))
    return channel


@command(
    "channel.join",
    http=Post("/v1/channels/{channel}/join"),
    tool=Tool(
        "join_channel",
        "Receive what is sent to a channel from now on; made if absent.",
        fields=("channel",),
        idempotent=True,
    ),
    scope="channels:write",
    errors=(ChannelNotFound, ChannelArchived),
    needs_agent=True,
)
def join_channel(tx: Transaction, request: JoinChannel) -> Channel:
    """Join a channel, which is created if it does not exist, unless `create` is false."""
    try:
        row = rows.find_channel(tx, request.channel)
    except ChannelNotFound:
        # An id means an existing channel: never create one that has the id as its name.
        if not request.create or re.fullmatch(UUID_PATTERN, request.channel):
            raise
        return _create(tx, request.channel.removeprefix("#"), "")
    rows.require_open(row)
    if rows.is_member(tx, row.id, tx.caller.acting_agent()):
        return rows.show(tx, row.id)
    return _join(tx, row.id)


@command(
    "channel.leave",
    http=Post("/v1/channels/{channel}/leave"),
    scope="channels:write",
    errors=(ChannelNotFound,),
    needs_agent=True,
)
def leave_channel(tx: Transaction, request: ChannelChosen) -> Channel:
    """Leave a channel: nothing more is received from it. Messages already received stay."""
    row = rows.find_channel(tx, request.channel)
    agent_id = tx.caller.acting_agent()
    table = channel_members.c
    membership = table.workspace_id == tx.workspace_id, table.channel_id == row.id, table.agent_id == agent_id
    was_member = tx.change(delete(channel_members).where(*membership))
    channel = rows.show(tx, row.id)
    if was_member:
        _emit_changed(tx, CHANNEL_LEFT, channel, _membership(tx, channel))
    return channel


@query(
    "channel.members",
    http=Get("/v1/channels/{channel}/members"),
    scope="channels:read",
    errors=(ChannelNotFound,),
)
def list_members(tx: Transaction, request: ListChannelMembers) -> Page[ChannelMember]:
    """List the members of a channel by name."""
    row = rows.find_channel(tx, request.channel)
    table = channel_members.c
    statement = (
        select(table.agent_id, agents.c.name, table.joined_at)
        .join(agents, agents.c.id == table.agent_id)
        .where(table.workspace_id == tx.workspace_id, table.channel_id == row.id)
    )
    return Listing(Page[ChannelMember], _as_member, keys=(agents.c.name,)).read(tx, statement, request)


def _create(tx: Transaction, name: str, description: str) -> Channel:
    channel = Channel(
        id=tx.new_id(),
        name=name,
        description=description,
        created_by=tx.caller.agent_id,
        created_at=tx.now,
        archived_at=None,
        member_count=0,
    )
    key_columns = {"workspace_id": tx.workspace_id, "name_key": name_key(name)}
    tx.execute(insert(channels), channel.model_dump(exclude={"member_count"}) | key_columns)
    _emit_changed(tx, CHANNEL_CREATED, channel, ChannelChanged(channel=channel))
    return channel if tx.caller.agent_id is None else _join(tx, channel.id)


def _join(tx: Transaction, channel_id: str) -> Channel:
    row = {
        "workspace_id": tx.workspace_id,
        "channel_id": channel_id,
        "agent_id": tx.caller.acting_agent(),
        "joined_at": tx.now,
    }
    tx.execute(insert(channel_members), row)
    channel = rows.show(tx, channel_id)
    _emit_changed(tx, CHANNEL_JOINED, channel, _membership(tx, channel))
    return channel


def _membership(tx: Transaction, channel: Channel) -> ChannelMembership:
    caller = tx.caller
    return ChannelMembership(
        channel=channel, agent_id=caller.acting_agent(), agent_name=str(caller.agent_name), at=tx.now
    )


def _emit_changed(
    tx: Transaction, type_: str, channel: Channel, data: ChannelChanged | ChannelMembership
) -> None:
    tx.emit(NewEvent(type_, f"channel/{channel.id}", data, channel_id=channel.id))


def _as_member(row: Row[Any]) -> ChannelMember:
    return ChannelMember(agent_id=row.agent_id, agent_name=row.name, joined_at=row.joined_at)
