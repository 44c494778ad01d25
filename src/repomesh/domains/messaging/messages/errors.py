"""What can go wrong when agents talk."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class MessageNotFound(NotFound):
    """No such message exists, or the caller may not see it."""

    code = "message_not_found"
    hint = "Check 'message_id'; read_inbox and GET /v1/messages list the messages that you may see."


class NobodyAddressed(InvalidRequest):
    """A message needs recipients, or a parent message whose sender receives it."""

    code = "nobody_addressed"
    hint = "Send 'to' with agent names, '#channel' or '*', or 'parent_message_id' to answer a message."


class SeveralChannels(InvalidRequest):
    """A message belongs to one channel at most."""

    code = "several_channels"
    hint = "Send the message once for each '#channel'."


class BadExpiry(InvalidRequest):
    """A message must expire in the future, within a year, and its expiry must be given once."""

    code = "bad_expiry"
    hint = "Send 'ttl_s' with the seconds that it is of use, or a future 'expires_at', not both."


class RecipientNotFound(NotFound):
    """No agent of this workspace has the name or id that a message is addressed to."""

    code = "recipient_not_found"
    hint = "List the agents with GET /v1/agents."


class RecipientRetired(Conflict):
    """The message is addressed to an agent that is out of service."""

    code = "recipient_retired"
    hint = "Leave it out of 'to'. GET /v1/agents lists others with the same 'capability'."


class TooManyRecipients(Conflict):
    """A message goes to a bounded number of agents."""

    code = "too_many_recipients"
    hint = "Send it to a smaller '#channel', or name the agents in 'to'."


class TooManyHops(Conflict):
    """Agents answered each other so often without a human in between that it looks like a loop."""

    code = "too_many_hops"
    hint = "Stop here and ask a person with ask_human; a person's answer in this thread resets the count."


class NotARecipient(Forbidden):
    """Only a recipient can mark a message as read or acknowledge it."""

    code = "not_a_recipient"
    hint = "Act as an agent in 'to'. To comment on the message, react to it or answer with send_message."


class ReceiptsPrivate(Forbidden):
    """Only its sender, its recipients and the workspace's owner can see a message's receipts."""

    code = "receipts_private"
    hint = "Ask the message's sender, or use the owner's token."


class ReactionNotFound(NotFound):
    """The acting agent has no such reaction on this message."""

    code = "reaction_not_found"
    hint = "List the reactions with GET /v1/messages/{message_id}/reactions; an agent removes only its own."


class TooManyReactions(Conflict):
    """An agent can put a bounded number of different reactions on one message."""

    code = "too_many_reactions"
    hint = "Remove one of your reactions first, or answer with send_message."
