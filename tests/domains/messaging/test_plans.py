"""What agents ask for all day reads an index, however much was said before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert

from plans import analyze, plans, scans, steps
from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.messaging.channels.models import CreateChannel
from repomesh.domains.messaging.channels.operations import create_channel
from repomesh.domains.messaging.delivery import reminding
from repomesh.domains.messaging.delivery.models import ExpireMessages, RemindOfMessages
from repomesh.domains.messaging.delivery.undelivered import expire_messages
from repomesh.domains.messaging.messages import reading, receipts
from repomesh.domains.messaging.messages.models import (
    ListChannelMessages,
    ListMessages,
    ReadInbox,
    ReadOutbox,
    ReadThread,
    SendMessage,
    WaitForMessages,
)
from repomesh.domains.messaging.messages.sending import send
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.messages.tables import receipts as receipt_rows
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

RECEIVED, UNREAD, AGENTS = 6_000, 20, 60


class Town:
    """A store in which bob received most of what was said, and has read nearly all of it."""

    def __init__(self, server: Server) -> None:
        self.store = server.store
        [self.workspace_id] = self.store.read_now(system_caller(""), workspace_ids)
        system = system_caller(self.workspace_id)
        self.ids = self.store.write_now(
            system, lambda tx: [ensure_agent(tx, f"agent-{n}").id for n in range(AGENTS)]
        )
        self.bob = self.caller(1)
        self.thread = self.store.write_now(self.caller(0), self._talk)
        if self.store.describe()["engine"] == "postgresql":
            analyze(self.store)

    def caller(self, number: int) -> Caller:
        return Caller(self.workspace_id, Role.AGENT, "t", self.ids[number], f"agent-{number}", "ai")

    def _talk(self, tx: Transaction) -> str:
        create_channel(tx, CreateChannel(name="dev"))
        first = send(tx, SendMessage(to=("#dev",), body="hello", topic="t", ack_required=True))
        row = dict(tx.execute(messages.select().where(messages.c.id == first.id)).one()._mapping)
        rows, held = [], []
        for number in range(RECEIVED):
            id_ = new_id()
            own = {"id": id_, "thread_id": id_, "sender_id": self.ids[2 + number % 40], "due_at": None}
            rare = number % 200 == 0
            own |= {"topic": "rare" if rare else ""} | ({} if rare else {"channel_id": None})
            rows.append(row | own)
            read_at = tx.now if number < RECEIVED - UNREAD else None
            held.append(
                {"workspace_id": tx.workspace_id, "agent_id": self.ids[1], "message_id": id_}
                | {"sender_id": own["sender_id"], "priority": 1, "expires_at": None, "stored_at": tx.now}
                | {"offered_at": read_at, "injected_at": read_at, "read_at": read_at, "acked_at": None}
            )
        tx.execute(insert(messages), rows)
        tx.execute(insert(receipt_rows), held)
        return first.id


@pytest.fixture
def town(server: Server) -> Town:
    return Town(server)


def test_what_agents_ask_for_reads_an_index(town: Town) -> None:
    bob, owner = town.bob, system_caller(town.workspace_id)
    sender = town.ids[5]
    asked: list[tuple[str, Caller, Callable[[Transaction], Any]]] = [
        ("ix_receipts_unread", bob, lambda tx: reading.read_inbox(tx, ReadInbox(unread=True))),
        ("ix_receipts_unread", bob, lambda tx: reading.wait_for_messages(tx, WaitForMessages())),
        ("ix_receipts_unread", bob, lambda tx: receipts.unread_count(tx, str(bob.agent_id))),
        ("ix_receipts_unread", bob, lambda tx: receipts.important_unread_count(tx, str(bob.agent_id))),
        ("receipts", bob, lambda tx: reading.read_inbox(tx, ReadInbox())),
        ("ix_messages_sender", bob, lambda tx: reading.read_outbox(tx, ReadOutbox())),
        ("ix_receipts_message", bob, lambda tx: reading.read_outbox(tx, ReadOutbox(never_offered=True))),
        ("ix_messages_sender", bob, lambda tx: reading.list_messages(tx, ListMessages(sender=sender))),
        ("ix_messages_sender", owner, lambda tx: reading.list_messages(tx, ListMessages(sender=sender))),
        ("ix_messages_topic", bob, lambda tx: reading.list_messages(tx, ListMessages(topic="rare"))),
        ("ix_messages_channel", bob, lambda tx: reading.list_messages(tx, ListMessages(channel="dev"))),
        ("ix_messages_task", bob, lambda tx: reading.list_messages(tx, ListMessages(task_id=new_id()))),
        ("messages", owner, lambda tx: reading.list_messages(tx, ListMessages(recipient=sender))),
        ("messages", bob, lambda tx: reading.list_messages(tx, ListMessages())),
        ("ix_messages_thread", owner, lambda tx: reading.read_thread(tx, ReadThread(message_id=town.thread))),
        (
            "ix_messages_channel",
            owner,
            lambda tx: reading.list_channel_messages(tx, ListChannelMessages(channel="dev")),
        ),
        ("ix_receipts_unread", bob, lambda tx: reminding.remind(tx, RemindOfMessages())),
        ("ix_messages_due", owner, lambda tx: expire_messages(tx, ExpireMessages())),
    ]
    for index, caller, work in asked:
        found = plans(town.store, caller, work, writing=False)
        assert index in steps(found), steps(found)
        assert scans(found, "messages", "receipts") == []


def test_what_is_unread_is_found_among_much_that_was_read(town: Town) -> None:
    def work(tx: Transaction) -> tuple[int, int, int]:
        unread = reading.read_inbox(tx, ReadInbox(unread=True, limit=200))
        everything = reading.read_inbox(tx, ReadInbox(limit=200))
        return len(unread.items), receipts.unread_count(tx, str(tx.caller.agent_id)), len(everything.items)

    assert town.store.read_now(town.bob, work) == (UNREAD, UNREAD, 200)
