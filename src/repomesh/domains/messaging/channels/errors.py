"""What can go wrong with channels."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, NotFound


class ChannelNotFound(NotFound):
    """No channel of this workspace has that name or id."""

    code = "channel_not_found"
    hint = "List the channels with GET /v1/channels; join_channel creates one that does not exist."


class ChannelNameTaken(Conflict):
    """There is a channel of that name, open or archived."""

    code = "channel_name_taken"
    hint = "Join it with join_channel, or send another 'name'."


class ChannelArchived(Conflict):
    """An archived channel can be read, but nobody joins it or sends to it."""

    code = "channel_archived"
    hint = "Use another channel. List the open ones with GET /v1/channels."


class NotAMember(Forbidden):
    """A channel's messages are for its members."""

    code = "not_a_member"
    hint = "Join the channel first: join_channel, or POST /v1/channels/{channel}/join."


class NotYourChannel(Forbidden):
    """Only a channel's creator or the workspace's owner can archive it."""

    code = "not_your_channel"
    hint = "Ask the agent in 'created_by', or leave the channel with POST /v1/channels/{channel}/leave."
