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
from repomesh.domains.messaging.messages.models import MessagesSeen, ReceivedMessage
from repomesh.domains.messaging.messages.reading import fresh_among, offered, received
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.messaging.messages.tables import receipts
from repomesh.domains.messaging.personal_inbox import rules
from repomesh.domains.messaging.personal_inbox.models import Inbox, ShowInbox
from repomesh.domains.messaging.questions.operations import open_questions
from repomesh.kernel import limits
from repomesh.kernel.budget import PageEnds, fit
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, Model, query
from repomesh.store.damage import readable
from repomesh.store.filters import EventFilter
from repomesh.store.log import event_data, event_name
from repomesh.store.reading import read_page
from repomesh.store.transaction import Transaction

Item = TypeVar("Item", bound=Model)

NON_DELIVERY = "non-delivery"
"""The tag of the server's notices about messages that were not delivered."""

_SAID_CHARS = 150  # more than `omitted` ever takes
_NOWHERE = PageEnds(lambda _index: "", "")


def _mark_offered(_request: ShowInbox, inbox: Inbox) -> tuple[str, MessagesSeen] | None:
    """After the answer has left, mark the messages in it as offered."""
    fresh = fresh_among((*inbox.notices, *inbox.messages))
    fresh += [question.message_id for question in inbox.questions]
    return offered(fresh[: limits.PAGE_ITEMS_MAX])


@query(
    "inbox.show",
    http=Get("/v1/inbox"),
    scope="messages:read",
    needs_agent=True,
    follow_up=_mark_offered,
)
def show_inbox(tx: Transaction, request: ShowInbox) -> Inbox:
    """Show what needs the acting agent: what holds others up first, then what only wants to be read.

    Looking answers no question and marks nothing as read.
    """
    agent_id = tx.caller.acting_agent()
    questions = open_questions(tx, agent_id, request.limit)
    unread = _unread(tx, request, [question.message_id for question in questions])
    notices = [message for message in unread if message.sender_id is None and NON_DELIVERY in message.tags]
    count = unread_count(tx, agent_id)
    whole = Inbox(
        questions=questions,
        permissions=_permissions(tx, request.limit),
        notices=notices,
        messages=[message for message in unread if message not in notices],
        unread=count,
    )
    return _fitted(whole, listing.budget(request.max_chars))


def _unread(tx: Transaction, request: ShowInbox, asked: Sequence[str]) -> list[ReceivedMessage]:
    """The unread messages, the most urgent and then the newest first, without those that ask a question."""
    statement = received(tx).where(receipts.c.read_at.is_(None), receipts.c.message_id.not_in(asked))
    urgent = statement.order_by(receipts.c.priority.desc(), receipts.c.message_id.desc())
    found = readable(
        tx, tx.execute(urgent.limit(request.limit)), listing.as_received, lambda row: f"message/{row.id}"
    )
    return rows.read_on(tx, found, listing.budget(request.max_chars))


def _permissions(tx: Transaction, count: int) -> list[PermissionRequested]:
    """The permissions that CLIs wait for: of each live session the last one, if it did not go on since.

    They are for people alone.
    """
    if tx.caller.agent_type != PERSON:
        return []
    since = tx.now - timedelta(seconds=limits.PERMISSION_SHOWN_S)
    # Also of before this person came, who was not named then.
    wanted = EventFilter(
        tx.workspace_id, None, sees_all=True, types=(AGENT_PERMISSION_REQUESTED,), since=since
    )
    asked_for = read_page(
        tx.connection, wanted, after=None, before=None, count=limits.PERMISSIONS_READ_MAX, newest=True
    )
    newest: dict[tuple[str, str], PermissionRequested] = {}
    for asked in readable(tx, asked_for, _asked, lambda row: event_name(row.seq)):
        newest.setdefault((asked.cli, asked.session_id), asked)
    if not newest:
        return []
    table = cli_sessions.c
    live = select(table.cli, table.session_id, table.state, table.last_hook_at).where(
        table.workspace_id == tx.workspace_id,
        tuple_(table.cli, table.session_id).in_(list(newest)),
        table.ended_at.is_(None),
    )
    waiting = [newest[row.cli, row.session_id] for row in tx.execute(live) if _waits(row, newest)]
    return sorted(waiting, key=lambda asked: asked.at, reverse=True)[:count]


def _asked(row: Row[Any]) -> PermissionRequested:
    return PermissionRequested.model_validate(event_data(row))


def _waits(session: Row[Any], newest: dict[tuple[str, str], PermissionRequested]) -> bool:
    asked = newest[session.cli, session.session_id]
    return rules.still_waits(asked.at, session.last_hook_at)


def _fitted(whole: Inbox, max_chars: int) -> Inbox:
    """The inbox within a budget: what comes first is kept first."""
    if len(whole.model_dump_json()) <= max_chars:
        return whole
    sections = {"questions": None, "permissions": None, "notices": "body", "messages": "body"}
    empty = whole.model_copy(update={name: [] for name in sections})
    left = max_chars - len(empty.model_dump_json()) - _SAID_CHARS
    shown: dict[str, list[Any]] = {}
    for name, text in sections.items():
        shown[name] = _section(getattr(whole, name), left, text)
        left -= sum(len(item.model_dump_json()) + 1 for item in shown[name])
    said = [
        f"{name} left out: {missing}"
        for name, items in shown.items()
        if (missing := len(getattr(whole, name)) - len(items))
    ]
    return whole.model_copy(update=shown | {"omitted": "; ".join([*said, "raise max_chars"])})


def _section(items: list[Item], left: int, text: str | None) -> list[Item]:
    return fit(Page[Item](items=items), max(left, 0), _NOWHERE, text).items if items else []
