"""The operations of messaging, by topic, and what other domains call of them."""

from __future__ import annotations

from repomesh.domains.messaging import channels, delivery, reactions, reading, receipts, reviews, sending
from repomesh.domains.messaging.channel_rows import find_channel
from repomesh.domains.messaging.reading import list_messages
from repomesh.domains.messaging.receipts import important_unread, unread_count
from repomesh.domains.messaging.review_rows import approved_review
from repomesh.domains.messaging.rows import find_message
from repomesh.domains.messaging.sending import send, system_notice

__all__ = [
    "approved_review",
    "channels",
    "delivery",
    "find_channel",
    "find_message",
    "important_unread",
    "list_messages",
    "reactions",
    "reading",
    "receipts",
    "reviews",
    "send",
    "sending",
    "system_notice",
    "unread_count",
]
