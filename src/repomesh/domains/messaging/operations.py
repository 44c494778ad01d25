"""The operations on messages, by topic, and what other domains call of messaging."""

from __future__ import annotations

from repomesh.domains.messaging import message_reactions, reading, receipts, sending
from repomesh.domains.messaging.channels.rows import find_channel
from repomesh.domains.messaging.reading import list_messages
from repomesh.domains.messaging.receipts import important_unread, unread_count
from repomesh.domains.messaging.reviews.rows import approved_review
from repomesh.domains.messaging.rows import find_message
from repomesh.domains.messaging.sending import send, system_notice

__all__ = [
    "approved_review",
    "find_channel",
    "find_message",
    "important_unread",
    "list_messages",
    "message_reactions",
    "reading",
    "receipts",
    "send",
    "sending",
    "system_notice",
    "unread_count",
]
