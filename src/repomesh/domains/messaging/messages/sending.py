"""Sending: store a message once, with a receipt for each recipient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, update

from repomesh.domains.agents.rules import SYSTEM_NAME
from repomesh.domains.messaging.channels.errors import ChannelArchived, ChannelNotFound, NotAMember
from repomesh.domains.messaging.messages import addressing, rows, rules
from repomesh.domains.messaging.messages.addressing import ResolvedRecipients
from repomesh.domains.messaging.messages.errors import (
    BadExpiry,
    MessageNotFound,
    NobodyAddressed,
    RecipientNotFound,
    RecipientRetired,
    SeveralChannels,
    TooManyHops,
    TooManyRecipients,
)
from repomesh.domains.messaging.messages.models import MESSAGE_SENT, Message, SendMessage, SentMessage
from repomesh.domains.messaging.messages.receipts import acknowledge
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.domains.messaging.questions import rows as question_rows
from repomesh.kernel import limits
from repomesh.kernel.json_text import without_escapes
from repomesh.kernel.limits import EVENT_BODY_CHARS_MAX
from repomesh.kernel.operation import Post, Tool, command
from repomesh.kernel.preparation import on_worker_thread
from repomesh.kernel.prepared_words import is_long
from repomesh.kernel.words import distinct_words, words_of
from repomesh.store.log import Audience, NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

DOCUMENT = "message"
"""The type under which subject and body are found by their words."""

_INSERT_MESSAGE = PreparedStatement(insert(messages))
_INSERT_RECEIPT = PreparedStatement(insert(receipts))
_SENT_FIELDS = tuple(SentMessage.model_fields)

_ROW_DEFAULTS: dict[str, Any] = {
    "topic": "",
    "tags": [],
    "priority": rules.RANKS["normal"],
    "task_id": None,
    "parent_message_id": None,
    "related_message_id": None,
    "hop": 0,
    "ack_required": False,
    "ack_deadline": None,
    "expires_at": None,
    "undelivered_at": None,
}


@command(
    "message.send",
    http=Post("/v1/messages", status=201, body_bytes_max=limits.TEXT_BODY_BYTES_MAX),
    tool=Tool(
        "send_message",
        "Write to agents, a #channel or everybody (*).",
        fields=("to", "body", "subject", "parent_message_id", "task_id", "priority", "ack_required"),
    ),
    scope="messages:write",
    errors=(
        NobodyAddressed,
        SeveralChannels,
        RecipientNotFound,
        RecipientRetired,
        TooManyRecipients,
        ChannelNotFound,
        ChannelArchived,
        NotAMember,
        MessageNotFound,
        TooManyHops,
        BadExpiry,
    ),
    rate="messages",
    needs_agent=True,
    prepare=on_worker_thread(
        lambda request, _store: _words(request), when=lambda request: is_long(request.body)
    ),
)
def send_message(tx: Transaction, request: SendMessage) -> SentMessage:
    """Send a message as the acting agent.

    It goes to agents that are in service now. A reply acknowledges its parent; without `to` it goes to the
    parent's sender and to the parent's channel.
    """
    sent = send(tx, request)
    return SentMessage.of({name: getattr(sent, name) for name in _SENT_FIELDS})


def send(tx: Transaction, request: SendMessage) -> Message:
    """Store a message of the acting agent; returns it with its body. Raises the errors of `message.send`."""
    sender_id = tx.caller.acting_agent()
    row = _ROW_DEFAULTS | {
        "id": tx.new_id(),
        "sender_id": sender_id,
        "sender_name": tx.caller.agent_name,
        "subject": request.subject or "",
        "body": request.body,
        "topic": request.topic or "",
        "tags": list(dict.fromkeys(request.tags)),
        "priority": rules.RANKS[request.priority],
        "task_id": request.task_id,
    }
    row["thread_id"] = row["id"]
    to: Sequence[str] | None = request.to
    parent = None
    if request.parent_message_id is not None:
        parent = rows.find(tx, request.parent_message_id)
        row |= _inherited_fields(tx, request, parent)
        to = to or addressing.reply_addresses(tx, parent, sender_id)
    if to is None:
        raise NobodyAddressed("the message names neither recipients nor a message that it answers")
    _set_times(tx, row, request)
    message = _store(tx, row, addressing.resolve(tx, to, sender_id), _words(request))
    if parent is not None:
        acknowledge(tx, parent)
        question_rows.settle(tx, parent, request.body)
    return message


def _words(request: SendMessage) -> list[str]:
    return request.cached_words(lambda: body_words(request.body))


def body_words(body: str) -> list[str]:
    """The words by which a message is found besides those of its subject."""
    return distinct_words(without_escapes(body))


def extend_expiry(tx: Transaction, message_ids: Sequence[str], until: datetime) -> None:
    """Move the expiry of messages and their receipts to `until`."""
    for table, key in ((messages, messages.c.id), (receipts, receipts.c.message_id)):
        of_messages = table.c.workspace_id == tx.workspace_id, key.in_(message_ids)
        tx.execute(update(table).where(*of_messages).values(expires_at=until))


def system_notice(
    tx: Transaction,
    recipient_ids: Sequence[str],
    subject: str,
    body: str,
    *,
    tags: Sequence[str] = (),
    related_message_id: str | None = None,
    task_id: str | None = None,
    thread_id: str | None = None,
    ack_required: bool = False,
    expires_at: datetime | None = None,
) -> Message:
    """Store a message of the server itself to agents of this workspace, in a thread or on its own.

    Its request is void after `expires_at`. Nobody is notified when a notice is not acknowledged.
    """
    notice_id = tx.new_id()
    names = addressing.names_of(tx, recipient_ids)
    row = _ROW_DEFAULTS | {
        "id": notice_id,
        "thread_id": thread_id or notice_id,
        "sender_id": None,
        "sender_name": SYSTEM_NAME,
        "subject": subject,
        "body": body,
        "tags": list(tags),
        "priority": rules.IMPORTANT,
        "related_message_id": related_message_id,
        "task_id": task_id,
        "ack_required": ack_required,
        "expires_at": expires_at,
    }
    row["due_at"] = None
    ids = list(names)
    return _store(tx, row, ResolvedRecipients(list(names.values()), ids, Audience("agents", tuple(ids))))


def forward(tx: Transaction, message_id: str, to: tuple[str, str], body: str, tags: Sequence[str]) -> Message:
    """Store a message to the agent `to` (id, name) in the thread of `message_id`, on behalf of its sender.

    For messages that their sender asked the server to hand on. Raises MessageNotFound.
    """
    parent = rows.find(tx, message_id)
    row = _ROW_DEFAULTS | {
        "id": tx.new_id(),
        "thread_id": parent.thread_id,
        "parent_message_id": parent.id,
        "sender_id": parent.sender_id,
        "sender_name": parent.sender_name,
        "subject": parent.subject,
        "body": body,
        "topic": parent.topic,
        "tags": list(tags),
        "priority": parent.priority,
        "task_id": parent.task_id,
        "due_at": None,
    }
    agent_id, name = to
    return _store(
        tx, row, ResolvedRecipients([name], [agent_id], Audience("agents", (agent_id, parent.sender_id)))
    )


def _inherited_fields(tx: Transaction, request: SendMessage, parent: Any) -> dict[str, Any]:
    """The columns of an answer that come from its parent, unless the request says otherwise."""
    return {
        "parent_message_id": parent.id,
        "thread_id": parent.thread_id,
        "hop": rules.next_hop(parent.hop, tx.caller.agent_type),
        "subject": parent.subject if request.subject is None else request.subject,
        "topic": parent.topic if request.topic is None else request.topic,
        "task_id": request.task_id or parent.task_id,
    }


def _set_times(tx: Transaction, row: dict[str, Any], request: SendMessage) -> None:
    """Set when the message expires, must be acknowledged, and is due for a notice to its sender."""
    expires_at = rules.expiry(tx.now, request.expires_at, request.ttl_s)
    if request.ack_required or request.ack_timeout_s is not None:
        timeout_s = request.ack_timeout_s or tx.settings.ack_timeout_s
        row["ack_required"] = True
        row["ack_deadline"] = tx.now + timedelta(seconds=timeout_s)
    row["expires_at"] = expires_at
    row["due_at"] = rules.earliest(expires_at, row["ack_deadline"])


def _store(
    tx: Transaction, row: dict[str, Any], recipients: ResolvedRecipients, words: Sequence[str] | None = None
) -> Message:
    """Store and index a message and emit its event; `words` are those of its body, if known already."""
    row |= {
        "workspace_id": tx.workspace_id,
        "addressed_to": recipients.to,
        "recipient_count": len(recipients.recipient_ids),
        "broadcast": recipients.broadcast,
        "channel_id": recipients.channel_id,
        "channel_name": recipients.channel_name,
        "body_chars": len(row["body"]),
        "created_at": tx.now,
    }
    tx.insert(_INSERT_MESSAGE, [row])
    tx.insert(_INSERT_RECEIPT, [_receipt(row, agent_id) for agent_id in recipients.recipient_ids])
    body_terms = body_words(row["body"]) if words is None else words
    tx.index_words(DOCUMENT, row["id"], [*words_of(row["subject"]), *body_terms])
    message = rows.as_message(row)
    tx.emit(_sent_event(message, recipients))
    return message


def _receipt(row: dict[str, Any], agent_id: str) -> dict[str, Any]:
    return {
        "workspace_id": row["workspace_id"],
        "agent_id": agent_id,
        "message_id": row["id"],
        "sender_id": row["sender_id"],
        "priority": row["priority"],
        "expires_at": row["expires_at"],
        "stored_at": row["created_at"],
        "offered_at": None,
        "injected_at": None,
        "read_at": None,
        "acked_at": None,
    }


def _sent_event(message: Message, recipients: ResolvedRecipients) -> NewEvent:
    event_message = message
    if message.body_chars > EVENT_BODY_CHARS_MAX:
        beginning = message.body[:EVENT_BODY_CHARS_MAX]
        event_message = message.model_copy(update={"body": beginning, "truncated": True})
    only_recipient_id = recipients.recipient_ids[0] if len(recipients.recipient_ids) == 1 else None
    return NewEvent(
        MESSAGE_SENT,
        f"message/{message.id}",
        event_message,
        recipients.audience,
        channel_id=message.channel_id,
        task_id=message.task_id,
        recipient_id=only_recipient_id,
        correlation_id=message.thread_id,
        hop=message.hop,
    )
