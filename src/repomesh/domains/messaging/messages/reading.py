"""Reading messages: inbox, outbox, log, thread, and waiting for something new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, or_

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.messaging.channels import rows as channel_rows
from repomesh.domains.messaging.channels.errors import ChannelNotFound, NotAMember
from repomesh.domains.messaging.delivery.models import MessageTrace, Thread, TraceMessage
from repomesh.domains.messaging.delivery.tracing import trace_message
from repomesh.domains.messaging.messages import listing, rows
from repomesh.domains.messaging.messages.errors import MessageNotFound, ReceiptsPrivate
from repomesh.domains.messaging.messages.models import (
    MESSAGE_SENT,
    ListChannelMessages,
    ListMessages,
    Message,
    MessageIds,
    ReadInbox,
    ReadOutbox,
    ReadThread,
    ReceivedMessage,
    ShowMessage,
    WaitForMessages,
)
from repomesh.domains.messaging.messages.sending import DOCUMENT
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.kernel.budget import budget, cut
from repomesh.kernel.fields import Page
from repomesh.kernel.limits import PAGE_ITEMS_DEFAULT
from repomesh.kernel.operation import Get, Tool, WaitRule, query
from repomesh.store.listing import Filter, Listing, conditions_of, equals, when
from repomesh.store.transaction import Transaction

_TRACED_COUNTS = (PAGE_ITEMS_DEFAULT, 20, 5, 1)
"""How many recipients the trace of a thread lists; the first count that fits the budget is used."""

_NOT_FOUND = (AgentNotFound, ChannelNotFound)

_INBOX = Listing(
    Page[ReceivedMessage],
    listing.as_received,
    keys=(receipts.c.message_id,),
    descending=True,
    filters={
        **listing.COMMON_FILTERS,
        **listing.sent_within(receipts.c.message_id),
        "priority": listing.priority_at_least(receipts.c.priority),
        "unread": when(receipts.c.read_at.is_(None)),
    },
    text="body",
    load_texts=rows.read_on,
)
_UNREAD = replace(
    _INBOX,
    descending=False,
    filters={
        **listing.COMMON_FILTERS,
        "priority": listing.priority_at_least(receipts.c.priority),
        "thread_id": equals(messages.c.thread_id),
        "after": lambda _tx, message_id: receipts.c.message_id > message_id,
    },
)
_OUTBOX = replace(listing.MESSAGES, filters={**listing.COMMON_FILTERS, **listing.sent_within()})
_LOG = replace(_OUTBOX, filters={**_OUTBOX.filters, "task_id": equals(messages.c.task_id)}, document=DOCUMENT)
_LOG_OF_RECIPIENT = replace(
    _LOG,
    keys=(receipts.c.message_id,),
    filters={**_LOG.filters, **listing.sent_within(receipts.c.message_id)},
)
_NOT_INDEXED: Mapping[str, Filter] = {"priority": listing.priority_at_least()}
"""The filters of the outbox and the log that no index serves in the order of these lists."""
_THREAD = replace(listing.MESSAGES, page=Thread, filters={})


def unoffered_ids(messages: Iterable[ReceivedMessage]) -> list[str]:
    """The ids of the messages that were not offered before."""
    return [message.id for message in messages if message.status == "stored"]


def offered_follow_up(message_ids: Sequence[str]) -> tuple[str, MessageIds] | None:
    """The follow-up command (name, request) that marks these messages as offered; None for no messages."""
    if not message_ids:
        return None
    return "message.mark_offered", MessageIds(message_ids=tuple(message_ids))


def _offered_follow_up(request: Any, result: Page[ReceivedMessage]) -> tuple[str, MessageIds] | None:
    """After the answer has left, mark the messages in it as offered."""
    return offered_follow_up(unoffered_ids(result.items))


@query(
    "message.inbox",
    http=Get("/v1/messages/inbox"),
    tool=Tool(
        "read_inbox",
        "Your messages, newest first; with unread=true what you have not dealt with.",
        fields=("unread", "sender", "channel", "cursor", "max_chars"),
        read_only=True,
    ),
    scope="messages:read",
    errors=_NOT_FOUND,
    needs_agent=True,
    follow_up=_offered_follow_up,
)
def read_inbox(tx: Transaction, request: ReadInbox) -> Page[ReceivedMessage]:
    """List the messages that the acting agent received, newest first, without expired ones.

    Listing marks nothing as read; `POST /v1/messages/{message_id}/read` does.
    """
    return _INBOX.read(tx, select_received(tx), request)


@query(
    "message.wait",
    http=Get("/v1/messages/wait"),
    tool=Tool(
        "wait_for_messages",
        "Wait for a message. Unread ones come at once, until you acknowledge them.",
        fields=("timeout_s", "thread_id", "max_chars"),
        read_only=True,
    ),
    scope="messages:read",
    errors=_NOT_FOUND,
    needs_agent=True,
    blocking=WaitRule(
        seconds=lambda request: request.timeout_s,
        events=frozenset({MESSAGE_SENT}),
        done=lambda result: bool(result.items or result.omitted),
    ),
    follow_up=_offered_follow_up,
)
def wait_for_messages(tx: Transaction, request: WaitForMessages) -> Page[ReceivedMessage]:
    """Return the unread messages, oldest first: at once if there are any, else as soon as one arrives.

    The list is empty when `timeout_s` passes without a message.
    """
    return _UNREAD.read(tx, select_received(tx).where(receipts.c.read_at.is_(None)), request)


@query(
    "message.outbox",
    http=Get("/v1/messages/outbox"),
    scope="messages:read",
    errors=_NOT_FOUND,
    needs_agent=True,
)
def read_outbox(tx: Transaction, request: ReadOutbox) -> Page[Message]:
    """List the messages that the acting agent sent, newest first.

    `never_offered` selects those that some recipient was never offered.
    """
    table = messages.c
    own_messages = table.workspace_id == tx.workspace_id, table.sender_id == tx.caller.acting_agent()
    further = conditions_of(tx, _NOT_INDEXED, request)
    if request.never_offered:
        of_message = receipts.c.workspace_id == table.workspace_id, receipts.c.message_id == table.id
        further.append(exists().where(*of_message, receipts.c.offered_at.is_(None)))
    statement = rows.selected().where(*own_messages)
    return listing.read_windowed_page(tx, _OUTBOX, statement, further, request)


@query("message.list", http=Get("/v1/messages"), scope="messages:read", errors=_NOT_FOUND)
def list_messages(tx: Transaction, request: ListMessages) -> Page[Message]:
    """List the communication log, newest first: all messages that the caller may see."""
    table = messages.c
    log, statement = _LOG, rows.selected().where(table.workspace_id == tx.workspace_id)
    if request.recipient is not None:
        log = _LOG_OF_RECIPIENT
        of_recipient = (
            receipts.c.workspace_id == tx.workspace_id,
            receipts.c.agent_id == find_agent(tx, request.recipient).id,
        )
        received = statement.add_columns(receipts.c.message_id).select_from(receipts)
        statement = received.join(messages, _same_message()).where(*of_recipient)
    further = [rows.visible(tx.caller), *conditions_of(tx, _NOT_INDEXED, request)]
    if request.text is not None:
        return log.search(tx, statement.where(*further), request, request.text)
    return listing.read_windowed_page(tx, log, statement, further, request)


@query(
    "message.show",
    http=Get("/v1/messages/{message_id}"),
    scope="messages:read",
    errors=(MessageNotFound,),
)
def show_message(tx: Transaction, request: ShowMessage) -> Message:
    """Show one message. With `max_chars` its body is cut to fit, if that suffices."""
    message = rows.find_message(tx, request.message_id)
    if request.max_chars is None or len(message.model_dump_json()) <= request.max_chars:
        return message
    bare = message.model_copy(update={"body": "", "truncated": True})
    chars_left = max(0, request.max_chars - len(bare.model_dump_json()))
    return bare.model_copy(update={"body": cut(message.body, chars_left)})


@query(
    "message.thread",
    http=Get("/v1/messages/{message_id}/thread"),
    tool=Tool(
        "read_thread",
        "The conversation that a message belongs to.",
        fields=("message_id", "newest_first", "trace", "cursor", "max_chars"),
        read_only=True,
    ),
    scope="messages:read",
    errors=(MessageNotFound, ReceiptsPrivate),
)
def read_thread(tx: Transaction, request: ReadThread) -> Thread:
    """List the messages of a thread that the caller may see, oldest first unless `newest_first`.

    With `trace` the answer includes the trace of the message itself, if the caller may see its receipts.
    """
    trace = _trace_within_budget(tx, request) if request.trace else None
    table = messages.c
    thread_id = rows.find(tx, request.message_id).thread_id
    statement = rows.selected().where(
        table.workspace_id == tx.workspace_id, table.thread_id == thread_id, rows.visible(tx.caller)
    )
    messages_of_thread = replace(_THREAD, descending=request.newest_first)
    read = messages_of_thread.read_items(tx, statement, request)
    thread = messages_of_thread.build_page(tx, read, request, trace=trace)
    assert isinstance(thread, Thread)
    return thread


def _trace_within_budget(tx: Transaction, request: ReadThread) -> MessageTrace:
    """The trace of a message within half of the budget, or with one recipient; its cursor continues it."""
    max_chars = budget(request.max_chars) // 2
    for count in _TRACED_COUNTS:
        trace = trace_message(tx, TraceMessage(message_id=request.message_id, limit=count))
        if len(trace.model_dump_json()) <= max_chars:
            break
    return trace


@query(
    "channel.messages",
    http=Get("/v1/channels/{channel}/messages"),
    scope="messages:read",
    errors=(ChannelNotFound, NotAMember),
)
def list_channel_messages(tx: Transaction, request: ListChannelMessages) -> Page[Message]:
    """List the messages of a channel, newest first: for its members, for observers and the owner."""
    channel = channel_rows.find_channel(tx, request.channel)
    agent_id = tx.caller.agent_id
    if agent_id is not None and not channel_rows.is_member(tx, channel.id, agent_id):
        raise NotAMember(f"you are not a member of '#{channel.name}'")
    table = messages.c
    of_channel = table.workspace_id == tx.workspace_id, table.channel_id == channel.id
    return listing.MESSAGES.read(tx, rows.selected().where(*of_channel), request)


def select_received(tx: Transaction) -> Select[Any]:
    """A select of the unexpired messages that the acting agent received, each with its receipt."""
    table = receipts.c
    times = [table.offered_at, table.injected_at, table.read_at, table.acked_at]
    return (
        rows.selected(table.message_id, *times)
        .select_from(receipts)
        .join(messages, _same_message())
        .where(
            table.workspace_id == tx.workspace_id,
            table.agent_id == tx.caller.acting_agent(),
            or_(table.expires_at.is_(None), table.expires_at > tx.now),
        )
    )


def _same_message() -> ColumnElement[bool]:
    return and_(messages.c.workspace_id == receipts.c.workspace_id, messages.c.id == receipts.c.message_id)
