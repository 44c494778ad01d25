"""Shared parts of the lists of messages: filters, pages, full-text search, and the character budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Row, Select

from repomesh.domains.agents.operations import find_agent
from repomesh.domains.messaging.channels.rows import find_channel
from repomesh.domains.messaging.messages import rows, rules
from repomesh.domains.messaging.messages.models import ListMessages, Message, Priority, ReceivedMessage
from repomesh.domains.messaging.messages.sending import DOCUMENT
from repomesh.domains.messaging.messages.tables import messages
from repomesh.kernel import limits
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.fields import Page, encode_cursor
from repomesh.kernel.ids import first_id_at
from repomesh.store import searching
from repomesh.store.damage import convert_readable
from repomesh.store.paging import PageRequest, page, position
from repomesh.store.transaction import Transaction

Item = TypeVar("Item", bound=Message)

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_SLACK_MS = 60_000  # between the time of a message and that in its id, in what older releases wrote

# Cursors before the first item, in either order: every id begins with a digit or a letter up to 'f'.
_BEFORE_OLDEST, _BEFORE_NEWEST = encode_cursor("0"), encode_cursor("g")


class MessageFilters(Protocol):
    """A request that narrows a list of messages."""

    @property
    def sender(self) -> str | None:
        """From this agent."""

    @property
    def channel(self) -> str | None:
        """In this channel."""

    @property
    def topic(self) -> str | None:
        """Of this topic."""

    @property
    def priority(self) -> Priority | None:
        """At least so urgent."""


class BudgetedPage(PageRequest, Protocol):
    """A request for a page within a budget."""

    @property
    def max_chars(self) -> int | None:
        """Characters of the answer at most."""


def filter_conditions(tx: Transaction, request: MessageFilters) -> list[ColumnElement[bool]]:
    """The conditions on sender, channel and topic. Raises AgentNotFound and ChannelNotFound."""
    table = messages.c
    conditions: list[ColumnElement[bool]] = []
    if request.sender is not None:
        conditions.append(table.sender_id == find_agent(tx, request.sender).id)
    if request.channel is not None:
        conditions.append(table.channel_id == find_channel(tx, request.channel).id)
    if request.topic is not None:
        # The second condition is what the index of topics holds, which a planner does not infer.
        conditions += [table.topic == request.topic, table.topic != ""]
    return conditions


def priority_conditions(
    request: MessageFilters, priority: ColumnElement[int] = messages.c.priority
) -> list[ColumnElement[bool]]:
    """The condition on the least priority, if any, as a list; `priority` is the column to compare."""
    return [] if request.priority is None else [priority >= rules.RANKS[request.priority]]


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


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def budget(max_chars: int | None) -> int:
    """The budget of an answer; without one, the greatest that can be asked for."""
    return limits.MAX_CHARS_MAX if max_chars is None else max_chars


def read_windowed_page(
    tx: Transaction,
    statement: Select[Any],
    indexed: Sequence[ColumnElement[bool]],
    further: Sequence[ColumnElement[bool]],
    request: PageRequest,
    key: ColumnElement[Any],
) -> tuple[list[Message], str | None]:
    """A page, newest first, of the rows that meet the `indexed` and the `further` conditions, and its cursor.

    Reads no more rows than the last of LOG_WINDOWS: when few of very many meet the further conditions,
    the page may be short, and its cursor continues after the rows that were read.
    """
    keys = statement.where(*indexed).with_only_columns(key).order_by(key.desc())
    if request.cursor is not None:
        keys = keys.where(key < position(request.cursor, [key])[0])
    oldest_key: str | None = None
    for window in limits.LOG_WINDOWS:
        oldest_key = tx.execute(keys.offset(window - 1).limit(1)).scalar_one_or_none()
        in_window = [] if oldest_key is None else [key >= oldest_key]
        window_statement = statement.where(*indexed, *further, *in_window)
        items, next_cursor = page(tx, window_statement, request, [key], as_item, descending=True)
        if oldest_key is None or next_cursor is not None:
            return items, next_cursor
    return items, encode_cursor(oldest_key)


def fit_messages(
    tx: Transaction, result: Page[Item], request: BudgetedPage, *, ascending: bool = False
) -> Page[Item]:
    """A page of messages in the order of their ids, cut to the budget; reads more of long bodies."""
    max_chars = budget(request.max_chars)
    result = result.model_copy(update={"items": rows.read_on(tx, result.items, max_chars)})
    start = request.cursor or (_BEFORE_OLDEST if ascending else _BEFORE_NEWEST)
    positions = PageEnds(lambda index: encode_cursor(result.items[index].id), start)
    return fit(result, max_chars, positions, "body")


def as_item(row: Row[Any]) -> Message:
    """The message in a row of a list."""
    return rows.as_message(row._asdict())


def as_received(row: Row[Any]) -> ReceivedMessage:
    """The message in a row that also has the recipient's receipt."""
    fields = row._asdict()
    return ReceivedMessage.of(rows.message_fields(fields) | {"status": rules.status(fields)})


def search(
    tx: Transaction, request: ListMessages, statement: Select[Any], conditions: Sequence[ColumnElement[bool]]
) -> Page[Message]:
    """A page of the messages that hold all words of `request.text` and meet `conditions`, newest first."""

    def matching_ids(ids: Sequence[str]) -> set[str]:
        matching = statement.with_only_columns(messages.c.id).where(messages.c.id.in_(ids), *conditions)
        return set(tx.execute(matching).scalars())

    matches, next_cursor = searching.search(tx, DOCUMENT, str(request.text), request, matching_ids)
    ids = [message_id for _, message_id in matches]
    of_matches = messages.c.workspace_id == tx.workspace_id, messages.c.id.in_(ids)
    by_id = {
        message.id: message
        for message in convert_readable(tx, tx.execute(rows.selected().where(*of_matches)), as_item)
    }
    matches = [(position, message_id) for position, message_id in matches if message_id in by_id]
    ids = [message_id for _, message_id in matches]
    max_chars = budget(request.max_chars)
    items = rows.read_on(tx, [by_id[message_id] for message_id in ids], max_chars)
    notice = searching.notice(tx, str(request.text))
    result = Page[Message](items=items, next_cursor=next_cursor, notice=notice)
    start = request.cursor or searching.BEFORE_ALL
    positions = PageEnds(lambda index: encode_cursor(matches[index][0]), start)
    return fit(result, max_chars, positions, "body")
