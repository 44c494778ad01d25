"""A person's inbox: open questions, CLIs that wait for a permission, notices, then messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Row, select, tuple_

from repomesh.domains.agents.models import AGENT_PERMISSION_REQUESTED, PermissionRequested
from repomesh.domains.agents.rules import PERSON
from repomesh.domains.agents.tables import cli_sessions
from repomesh.domains.messaging.messages import listing, rows
from repomesh.domains.messaging.messages.models import MessageIds, ReceivedMessage
from repomesh.domains.messaging.messages.reading import offered_follow_up, select_received, unoffered_ids
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.messaging.messages.tables import receipts
from repomesh.domains.messaging.personal_inbox import rules
from repomesh.domains.messaging.personal_inbox.models import Inbox, ShowInbox
from repomesh.domains.messaging.questions.operations import open_questions
from repomesh.kernel import limits
from repomesh.kernel.budget import budget, fit, no_cursor
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Model, query
from repomesh.store.damage import convert_readable
from repomesh.store.filters import EventFilter
from repomesh.store.log import event_data, event_name
from repomesh.store.reading import read_page
from repomesh.store.transaction import Transaction

Item = TypeVar("Item", bound=Model)

NON_DELIVERY = "non-delivery"
"""The tag of the server's notices about messages that were not delivered."""

_OMITTED_CHARS = 150  # more than `omitted` ever takes


def _offered_follow_up(_request: ShowInbox, inbox: Inbox) -> tuple[str, MessageIds] | None:
    """After the answer has left, mark the messages in it as offered."""
    message_ids = unoffered_ids((*inbox.notices, *inbox.messages))
    message_ids += [question.message_id for question in inbox.questions]
    return offered_follow_up(message_ids[: limits.PAGE_ITEMS_MAX])


@query(
    "inbox.show",
    http=Get("/v1/inbox"),
    scope="messages:read",
    needs_agent=True,
    follow_up=_offered_follow_up,
)
def show_inbox(tx: Transaction, request: ShowInbox) -> Inbox:
    """Show what needs the acting agent: first what others wait for, then unread messages.

    Showing the inbox answers no question and marks nothing as read.
    """
    agent_id = tx.caller.acting_agent()
    questions = open_questions(tx, agent_id, request.limit)
    unread = _unread_messages(tx, request, [question.message_id for question in questions])
    notices = [message for message in unread if message.sender_id is None and NON_DELIVERY in message.tags]
    count = unread_count(tx, agent_id)
    inbox = Inbox(
        questions=questions,
        permissions=_open_permissions(tx, request.limit),
        notices=notices,
        messages=[message for message in unread if message not in notices],
        unread=count,
    )
    return _fit_inbox(inbox, budget(request.max_chars))


def _unread_messages(
    tx: Transaction, request: ShowInbox, question_ids: Sequence[str]
) -> list[ReceivedMessage]:
    """The unread messages except those of `question_ids`, the most urgent first, then the newest."""
    statement = select_received(tx).where(
        receipts.c.read_at.is_(None), receipts.c.message_id.not_in(question_ids)
    )
    by_priority = statement.order_by(receipts.c.priority.desc(), receipts.c.message_id.desc())
    items = convert_readable(
        tx, tx.execute(by_priority.limit(request.limit)), listing.as_received, lambda row: f"message/{row.id}"
    )
    return rows.read_on(tx, items, budget(request.max_chars))


def _open_permissions(tx: Transaction, count: int) -> list[PermissionRequested]:
    """The permissions that CLIs wait for, newest first: the last one of each live session that is still open.

    Only people get them; for other agents the list is empty.
    """
    if tx.caller.agent_type != PERSON:
        return []
    since = tx.now - timedelta(seconds=limits.PERMISSION_SHOWN_S)
    # Sees all, because a request from before this person joined does not name the person.
    event_filter = EventFilter(
        tx.workspace_id, None, sees_all=True, types=(AGENT_PERMISSION_REQUESTED,), since=since
    )
    event_rows = read_page(
        tx.connection, event_filter, after=None, before=None, count=limits.PERMISSIONS_READ_MAX, newest=True
    )
    newest: dict[tuple[str, str], PermissionRequested] = {}
    for permission in convert_readable(tx, event_rows, _as_permission, lambda row: event_name(row.seq)):
        newest.setdefault((permission.cli, permission.session_id), permission)
    if not newest:
        return []
    table = cli_sessions.c
    live_sessions = select(table.cli, table.session_id, table.state, table.last_hook_at).where(
        table.workspace_id == tx.workspace_id,
        tuple_(table.cli, table.session_id).in_(list(newest)),
        table.ended_at.is_(None),
    )
    open_permissions = [
        newest[row.cli, row.session_id] for row in tx.execute(live_sessions) if _still_waits(row, newest)
    ]
    return sorted(open_permissions, key=lambda permission: permission.at, reverse=True)[:count]


def _as_permission(row: Row[Any]) -> PermissionRequested:
    return PermissionRequested.model_validate(event_data(row))


def _still_waits(session: Row[Any], newest: dict[tuple[str, str], PermissionRequested]) -> bool:
    permission = newest[session.cli, session.session_id]
    return rules.still_waits(permission.at, session.last_hook_at)


def _fit_inbox(inbox: Inbox, max_chars: int) -> Inbox:
    """The inbox cut to `max_chars` characters of JSON; earlier sections take precedence."""
    if len(inbox.model_dump_json()) <= max_chars:
        return inbox
    sections = {"questions": None, "permissions": None, "notices": "body", "messages": "body"}
    empty = inbox.model_copy(update={name: [] for name in sections})
    chars_left = max_chars - len(empty.model_dump_json()) - _OMITTED_CHARS
    shown: dict[str, list[Any]] = {}
    for name, text_field in sections.items():
        shown[name] = _fit_section(getattr(inbox, name), chars_left, text_field)
        chars_left -= sum(len(item.model_dump_json()) + 1 for item in shown[name])
    omissions = [
        f"{name} left out: {missing}"
        for name, items in shown.items()
        if (missing := len(getattr(inbox, name)) - len(items))
    ]
    return inbox.model_copy(update=shown | {"omitted": "; ".join([*omissions, "raise max_chars"])})


def _fit_section(items: list[Item], max_chars: int, text_field: str | None) -> list[Item]:
    return fit(Page[Item](items=items), max(max_chars, 0), no_cursor, text_field).items if items else []
