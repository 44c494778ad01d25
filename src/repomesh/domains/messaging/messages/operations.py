"""Re-exports: the modules with operations on messages, and the functions that other domains call."""

from __future__ import annotations

from repomesh.domains.messaging.channels.rows import find_channel
from repomesh.domains.messaging.messages import emoji_reactions, reading, receipts, sending
from repomesh.domains.messaging.messages.reading import list_messages
from repomesh.domains.messaging.messages.receipts import important_unread_count, unread_count
from repomesh.domains.messaging.messages.rows import find_message
from repomesh.domains.messaging.messages.sending import send, system_notice
from repomesh.domains.messaging.reviews.rows import has_approved_review

__all__ = [
    "emoji_reactions",
    "find_channel",
    "find_message",
    "has_approved_review",
    "important_unread_count",
    "list_messages",
    "reading",
    "receipts",
    "send",
    "sending",
    "system_notice",
    "unread_count",
]
