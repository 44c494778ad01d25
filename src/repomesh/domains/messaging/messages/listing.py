"""Shared parts of the lists of messages: filters, pages, full-text search, and the character budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_

from repomesh.domains.agents.operations import find_agent
from repomesh.domains.messaging.channels.rows import find_channel
from repomesh.domains.messaging.messages import rows, rules
from repomesh.domains.messaging.messages.models import Message, ReceivedMessage
from repomesh.domains.messaging.messages.tables import messages
from repomesh.kernel import limits
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.ids import first_id_at
from repomesh.store.listing import Filter, Listing
from repomesh.store.paging import PageRequest, position, read_items
from repomesh.store.transaction import Transaction

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_SLACK_MS = 60_000  # between the time of a message and that in its id, in what older releases wrote


def within(
    since: datetime | None, until: datetime | None, key: ColumnElement[str] = messages.c.id
) -> list[ColumnElement[bool]]:
    """The conditions of a time range; `until` itself is outside.

    `key` is the column of message ids by which the list is read. Ids begin with the time of their command, so
    that a range of times is also one of ids; older releases took the ids' time from a clock of their own.
    """
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(messages.c.created_at >= since)
        conditions.append(key >= first_id_at(_milliseconds(since) - _SLACK_MS))
    if until is not None:
        conditions.append(messages.c.created_at < until)
        conditions.append(key < first_id_at(_milliseconds(until) + _SLACK_MS))
    return conditions


def sent_within(key: ColumnElement[str] = messages.c.id) -> dict[str, Filter]:
    """The filters of the fields `since` and `until`; `key` as in `within`."""
    return {
        "since": lambda _tx, since: and_(*within(since, None, key)),
        "until": lambda _tx, until: and_(*within(None, until, key)),
    }


def priority_at_least(column: ColumnElement[int] = messages.c.priority) -> Filter:
    """The filter of messages that are at least as urgent as requested."""
    return lambda _tx, priority: column >= rules.RANKS[priority]


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def as_item(row: Row[Any]) -> Message:
    """The message in a row of a list."""
    return rows.as_message(row._asdict())


def as_received(row: Row[Any]) -> ReceivedMessage:
    """The message in a row that also has the recipient's receipt."""
    fields = row._asdict()
    return ReceivedMessage.of(rows.message_fields(fields) | {"status": rules.status(fields)})


COMMON_FILTERS: Mapping[str, Filter] = {
    "sender": lambda tx, agent: messages.c.sender_id == find_agent(tx, agent).id,
    "channel": lambda tx, channel: messages.c.channel_id == find_channel(tx, channel).id,
    # The second condition is what the index of topics holds, which a planner does not infer.
    "topic": lambda _tx, topic: and_(messages.c.topic == topic, messages.c.topic != ""),
}
"""The filters that an index serves, of every list of messages; raise AgentNotFound and ChannelNotFound."""

MESSAGES = Listing(
    Page[Message],
    as_item,
    keys=(messages.c.id,),
    descending=True,
    filters=sent_within(),
    text="body",
    load_texts=rows.read_on,
)
"""Messages, newest first."""


def read_windowed_page(
    tx: Transaction,
    listing: Listing[Message],
    statement: Select[Any],
    further: Sequence[ColumnElement[bool]],
    request: PageRequest,
) -> Page[Message]:
    """A page of a listing whose filters an index serves, of those rows that meet the `further` conditions.

    Reads no more rows than the last of LOG_WINDOWS: when few of very many meet the further conditions,
    the page may be short, and its cursor continues after the rows that were read.
    """
    [key] = listing.keys
    statement = statement.where(*listing.conditions(tx, request))
    keys = statement.with_only_columns(key).order_by(key.desc())
    if request.cursor is not None:
        keys = keys.where(key < position(request.cursor, [key])[0])
    for window in limits.LOG_WINDOWS:
        oldest_key = tx.execute(keys.offset(window - 1).limit(1)).scalar_one_or_none()
        in_window = [] if oldest_key is None else [key >= oldest_key]
        window_statement = statement.where(*further, *in_window)
        read = read_items(tx, window_statement, request, [key], listing.as_item, descending=True)
        if oldest_key is None or read.next_cursor is not None:
            return listing.build_page(tx, read, request)
    return listing.build_page(tx, replace(read, next_cursor=encode_cursor(oldest_key)), request)
