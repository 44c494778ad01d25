"""Rows of messages: find those that the caller may see, and build the models from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, true

from repomesh.domains.messaging.channels.tables import channel_members
from repomesh.domains.messaging.messages import rules
from repomesh.domains.messaging.messages.errors import MessageNotFound
from repomesh.domains.messaging.messages.models import Message
from repomesh.domains.messaging.messages.tables import messages, receipts
from repomesh.kernel.budget import text_share
from repomesh.kernel.identity import Caller
from repomesh.kernel.operation import Model
from repomesh.store.damage import require_readable
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

BODY_READ_CHARS = 2_000  # of each body with its row: most have no more, so few pages are read twice


Item = TypeVar("Item", bound=Model)

# The columns of the fields whose column has another name.
_COLUMNS = {"to": "addressed_to", "channel": "channel_name", "truncated": "body_chars"}
_FIELDS = [(name, _COLUMNS.get(name, name)) for name in Message.model_fields]


def visible(caller: Caller) -> ColumnElement[bool]:
    """The condition under which a message is one that `caller` may see.

    The owner sees everything unless it acts as an agent; an observer what went to everybody or to a
    channel; an agent, besides that of its channels, what it sent or received.
    """
    if caller.agent_id is not None:
        return _visible_to_agent(caller.agent_id)
    return true() if caller.is_admin else _VISIBLE_TO_OBSERVER


def _visible_to_agent(agent_id: Any) -> ColumnElement[bool]:
    table = messages.c
    receipt, member = receipts.alias("mine").c, channel_members.alias("member").c
    received = select(receipt.stored_at).where(
        receipt.workspace_id == table.workspace_id,
        receipt.agent_id == agent_id,
        receipt.message_id == table.id,
    )
    joined = select(member.joined_at).where(
        member.workspace_id == table.workspace_id,
        member.channel_id == table.channel_id,
        member.agent_id == agent_id,
    )
    # Not EXISTS: for that a planner may first hash all that the agent ever received (100,000 rows for one).
    return or_(
        table.broadcast,
        table.sender_id == agent_id,
        received.scalar_subquery().is_not(None),
        joined.scalar_subquery().is_not(None),
    )


_VISIBLE_TO_OBSERVER = or_(messages.c.broadcast, messages.c.channel_id.is_not(None))

_BY_ID = select(messages).where(
    messages.c.workspace_id == bindparam("ws"), messages.c.id == bindparam("message")
)
_BODY = PreparedStatement(
    select(func.substr(messages.c.body, 1, bindparam("chars")).label("body")).where(
        messages.c.workspace_id == bindparam("ws"), messages.c.id == bindparam("message")
    )
)
_THREAD_OF = PreparedStatement(_BY_ID.with_only_columns(messages.c.thread_id))
_FOR_ADMIN = PreparedStatement(_BY_ID)
_FOR_OBSERVER = PreparedStatement(_BY_ID.where(_VISIBLE_TO_OBSERVER))
_FOR_AGENT = PreparedStatement(_BY_ID.where(_visible_to_agent(bindparam("agent"))))


def find(tx: Transaction, message_id: str) -> Any:
    """The row of a message; raises MessageNotFound unless the caller may see it."""
    caller, key = tx.caller, {"ws": tx.workspace_id, "message": message_id}
    if caller.agent_id is not None:
        row = tx.execute(_FOR_AGENT, key | {"agent": caller.agent_id}).one_or_none()
    else:
        row = tx.execute(_FOR_ADMIN if caller.is_admin else _FOR_OBSERVER, key).one_or_none()
    if row is None:
        raise MessageNotFound(f"there is no message {message_id}")
    return row


def thread_of(tx: Transaction, message_id: str) -> str:
    """The id of the thread that a message, which exists, belongs to."""
    return str(tx.execute(_THREAD_OF, {"ws": tx.workspace_id, "message": message_id}).scalar_one())


def find_message(tx: Transaction, message_id: str) -> Message:
    """The message with this id; raises MessageNotFound unless the caller may see it."""
    return as_message(find(tx, message_id)._asdict())


def selected(*further: ColumnElement[Any]) -> Select[Any]:
    """A select of messages that reads the beginning of each body; `read_on` reads the rest."""
    columns = [column for column in messages.c if column.name != "body"]
    body = func.substr(messages.c.body, 1, BODY_READ_CHARS).label("body")
    return select(*columns, body, *further)


def read_on(tx: Transaction, items: Sequence[Item], max_chars: int, key: str = "id") -> list[Item]:
    """The items with as much of each body as a budget of `max_chars` can show.

    The items are messages, or other models with the `body` of a message and `truncated`; `key` is their field
    with the message's id. A page of bodies of a million characters is never in memory as a whole.
    """
    typed_items = cast(Sequence[Any], items)
    truncated_ids = [getattr(item, key) for item in typed_items if item.truncated]
    if not truncated_ids:
        return list(items)
    table = messages.c
    of_truncated = table.workspace_id == tx.workspace_id, table.id.in_(truncated_ids)
    body_chars_by_id = {
        row.id: row.body_chars for row in tx.execute(select(table.id, table.body_chars).where(*of_truncated))
    }
    lengths = [body_chars_by_id.get(getattr(item, key), len(item.body)) for item in typed_items]
    count, share = text_share(items, lengths, max_chars, "body")
    result = list(items)
    for index, item in enumerate(typed_items[:count]):
        if item.truncated and len(item.body) < share:
            id_ = getattr(item, key)
            body = tx.execute(_BODY, {"ws": tx.workspace_id, "message": id_, "chars": share}).scalar_one()
            result[index] = item.model_copy(update={"body": body, "truncated": len(body) < lengths[index]})
    return result


def as_message(row: Mapping[str, Any]) -> Message:
    """The message in a row."""
    return Message.of(message_fields(row))


def message_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the message in a row, whose body may be only the beginning. Raises DamagedRecord."""
    fields = {name: row[column] for name, column in _FIELDS}
    require_readable(fields.values())
    fields["priority"] = rules.PRIORITIES[row["priority"]]
    fields["truncated"] = len(row["body"]) < row["body_chars"]
    return fields
