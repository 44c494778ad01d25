"""What can go wrong with channels."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, NotFound


class ChannelNotFound(NotFound):
    """No channel of this workspace has that name or id."""

    code = "channel_not_found"
    hint = "List the channels; join_channel makes one that does not exist."


class ChannelNameTaken(Conflict):
    """There is a channel of that name, open or archived."""

    code = "channel_name_taken"
    hint = "Join it, or choose another name."


class ChannelArchived(Conflict):
    """An archived channel can be read, but nobody joins it or sends to it."""

    code = "channel_archived"
    hint = "Use another channel; list those that are open."


class NotAMember(Forbidden):
    """A channel's messages are for its members."""

    code = "not_a_member"
    hint = "Join the channel first: join_channel, or POST /v1/channels/{channel}/join."


class NotYourChannel(Forbidden):
    """Only who made a channel, or the workspace's owner, archives it."""

    code = "not_your_channel"
    hint = "Ask who made it, or leave the channel instead."
