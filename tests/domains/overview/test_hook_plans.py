"""What a hook asks after every tool call reads indexes, however much was said and handed out before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from plans import analyze, plans, scans, steps
from repomesh.app import Server
from repomesh.domains.agents.cli_sessions import operations as sessions
from repomesh.domains.agents.cli_sessions.models import SweepCliSessions
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.agents.tables import cli_sessions
from repomesh.domains.messaging.delivery import operations as deliveries
from repomesh.domains.messaging.delivery.models import ForgetDeliveries, ListUndecided, TraceMessage
from repomesh.domains.messaging.delivery.tables import deliveries as delivery_rows
from repomesh.domains.messaging.delivery.tables import delivery_messages
from repomesh.domains.messaging.delivery.tracing import trace_message
from repomesh.domains.messaging.messages.models import SendMessage
from repomesh.domains.messaging.messages.sending import send
from repomesh.domains.messaging.messages.tables import messages
from repomesh.domains.messaging.messages.tables import receipts as receipt_rows
from repomesh.domains.overview.cli_hooks.models import LookAtSession
from repomesh.domains.overview.cli_hooks.operations import look_at_session
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.store.transaction import Transaction

RECEIVED, FRESH, AGENTS, SESSIONS = 6_000, 12, 40, 1_200
TABLES = ("messages", "receipts", "deliveries", "delivery_messages", "cli_sessions")


class Town:
    """A store in which much was said to bob, handed out and confirmed, in very many CLI sessions."""

    def __init__(self, server: Server) -> None:
        self.store = server.store
        [self.workspace_id] = self.store.read_now(system_caller(""), workspace_ids)
        self.system = system_caller(self.workspace_id)
        self.ids = self.store.write_now(
            self.system, lambda tx: [ensure_agent(tx, f"agent-{n}").id for n in range(AGENTS)]
        )
        self.bob = self.caller(1)
        self.message_id = self.store.write_now(self.caller(0), self._talk)
        self.store.write_now(self.system, self._work)
        if self.store.describe()["engine"] == "postgresql":
            analyze(self.store)

    def caller(self, number: int) -> Caller:
        return Caller(self.workspace_id, Role.AGENT, "t", self.ids[number], f"agent-{number}", "ai")

    def _talk(self, tx: Transaction) -> str:
        first = send(tx, SendMessage(to=("agent-1",), body="hello"))
        row = dict(tx.execute(messages.select().where(messages.c.id == first.id)).one()._mapping)
        said, held, tries, parts = [], [], [], []
        for number in range(RECEIVED):
            id_, boundary = new_id(), f"rm{number:024x}"
            said.append(row | {"id": id_, "thread_id": id_})
            seen = tx.now if number < RECEIVED - FRESH else None
            held.append(
                {"workspace_id": tx.workspace_id, "agent_id": self.ids[1], "message_id": id_}
                | {"sender_id": self.ids[0], "priority": 1, "expires_at": None, "stored_at": tx.now}
                | {"offered_at": seen, "injected_at": seen, "read_at": seen, "acked_at": None}
            )
            key = {"workspace_id": tx.workspace_id, "boundary": boundary, "agent_id": self.ids[1]}
            if seen is not None:
                tries.append(
                    key
                    | {"cli": "claude", "session_id": f"s{number % SESSIONS}", "route": "after_tool"}
                    | {"message_ids": [id_], "at": tx.now - timedelta(seconds=number), "sent_at": tx.now}
                    | {"confirmed_at": tx.now, "failed_at": None, "failure": None}
                )
                parts.append(key | {"message_id": id_})
        tx.execute(insert(messages), said)
        tx.execute(insert(receipt_rows), held)
        tx.execute(insert(delivery_rows), tries)
        tx.execute(insert(delivery_messages), parts)
        return first.id

    def _work(self, tx: Transaction) -> None:
        rows = [
            {
                "workspace_id": tx.workspace_id,
                "cli": "claude",
                "session_id": f"s{number}",
                "agent_id": self.ids[1 + number % (AGENTS - 1)],
                "instance_id": f"i{number}",
                "processes": [str(number)],
                "claimed_by_agent": False,
                "transcript_path": None,
                "cwd": "/x",
                "state": "busy",
                "stop_blocks": 0,
                "stop_told": [],
                "briefing_due": False,
                "started_at": tx.now,
                "last_hook_at": tx.now,
                "ended_at": tx.now if number >= AGENTS else None,
                "ended_reason": None,
            }
            for number in range(SESSIONS)
        ]
        tx.execute(insert(cli_sessions), rows)


@pytest.fixture
def town(server: Server) -> Town:
    return Town(server)


def test_hooks_read_indexes(town: Town) -> None:
    bob, bob_id = town.bob, town.ids[1]
    look = LookAtSession(cli="claude", session_id="s0", deliver=True)
    one = ListUndecided(cli="claude", session_id="s0")
    asked: list[tuple[str, Caller, Callable[[Transaction], Any]]] = [
        ("ix_receipts_not_injected", bob, lambda tx: look_at_session(tx, look)),
        ("ix_receipts_not_injected", bob, lambda tx: deliveries.candidates(tx, bob_id, "claude", "s0")),
        ("ix_receipts_unread", bob, lambda tx: deliveries.pressing_message_ids(tx, bob_id)),
        ("ix_deliveries_open", bob, lambda tx: deliveries.undecided_count(tx, "claude", "s0")),
        ("ix_deliveries_open", town.system, lambda tx: deliveries.list_undecided(tx, one)),
        ("delivery_messages", bob, lambda tx: trace_message(tx, TraceMessage(message_id=town.message_id))),
        ("deliveries", town.system, lambda tx: deliveries.forget_deliveries(tx, ForgetDeliveries())),
    ]
    for index, caller, work in asked:
        found = plans(town.store, caller, work)
        assert index in steps(found), steps(found)
        assert scans(found, *TABLES) == []


def test_what_is_fresh_is_found_among_much_that_was_seen(town: Town) -> None:
    found = town.store.read_now(
        town.bob, lambda tx: deliveries.candidates(tx, town.ids[1], "claude", "s0", most=1_000)
    )
    assert len(found) == FRESH + 1


def test_sessions_that_are_over_don_t_count(town: Town) -> None:
    swept = town.store.write_now(
        town.system, lambda tx: sessions.sweep_cli_sessions(tx, SweepCliSessions()).session_ids
    )
    assert len(swept) == AGENTS  # their agents were never heard of
