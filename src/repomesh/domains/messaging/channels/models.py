"""Models of channels: named groups of agents that receive each message sent to the channel."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.agents.models import AgentRef
from repomesh.domains.messaging.messages.models import ChannelRef
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, Label, Name, PageLimit
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Model


class Channel(Model):
    """A place for messages. Any agent may join; members receive what is sent to it."""

    id: Id
    name: str
    description: str
    created_by: Id | None = Field(description="The agent that made it; null for the workspace's owner.")
    created_at: Timestamp
    archived_at: Timestamp | None = Field(description="From then on nobody joins or sends.")
    member_count: int


class ChannelMember(Model):
    """An agent that joined a channel."""

    agent_id: Id
    agent_name: str
    joined_at: Timestamp


class CreateChannel(Model):
    """A new channel; the acting agent, if any, is its first member."""

    name: Name
    description: Label = ""


class ListChannels(Model):
    """Which channels to list."""

    name_prefix: Label | None = None
    member: AgentRef | None = Field(None, description="Only those that this agent is in.")
    archived: bool = Field(False, description="The archived ones instead of the open ones.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class ChannelChosen(Model):
    """One channel, by name or id."""

    channel: ChannelRef


class JoinChannel(Model):
    """The channel to join."""

    channel: ChannelRef
    create: bool = Field(True, description="Make it if there is none of that name.")


class ListChannelMembers(Model):
    """The members of a channel."""

    channel: ChannelRef
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class ChannelChanged(Model):
    """A channel was made or archived; `channel` is its new state."""

    channel: Channel


class ChannelMembership(Model):
    """An agent joined or left; `channel` is its new state."""

    channel: Channel
    agent_id: Id
    agent_name: str
    at: Timestamp


CHANNEL_CREATED = event_type("channel.created", ChannelChanged, "A channel was created.")
CHANNEL_ARCHIVED = event_type(
    "channel.archived", ChannelChanged, "A channel was archived; nobody can write to it any more."
)
CHANNEL_JOINED = event_type("channel.joined", ChannelMembership, "An agent joined a channel.")
CHANNEL_LEFT = event_type("channel.left", ChannelMembership, "An agent left a channel.")
