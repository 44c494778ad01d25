"""The edges of what one message may reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repomesh.app import Server
from repomesh.domains.agents.operations import ensure_agent
from repomesh.domains.messaging.messages.errors import TooManyRecipients
from repomesh.domains.messaging.messages.models import ListReceipts, MessageChosen, SendMessage
from repomesh.domains.messaging.messages.receipts import ack_message, list_receipts, unread_count
from repomesh.domains.messaging.messages.sending import send
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.identity import Caller, Role, system_caller
from repomesh.kernel.limits import RECIPIENTS_MAX
from repomesh.store.transaction import Transaction


def test_a_message_reaches_a_thousand_agents_and_not_one_more(server: Server) -> None:
    [workspace_id] = server.store.read_now(system_caller(""), workspace_ids)

    def write(caller: Caller, work: Callable[[Transaction], Any]) -> Any:
        return server.store.write_now(caller, work)

    def join(first: int, last: int) -> list[str]:
        system = system_caller(workspace_id)
        return write(system, lambda tx: [ensure_agent(tx, f"agent-{n}").id for n in range(first, last)])

    ids = join(0, RECIPIENTS_MAX + 1)
    sender = Caller(workspace_id, Role.AGENT, "t", ids[0], "agent-0", "ai")
    everybody = SendMessage(to=("*",), body="to all")
    sent = write(sender, lambda tx: send(tx, everybody))
    assert sent.recipient_count == RECIPIENTS_MAX
    named = SendMessage(to=tuple(f"agent-{n}" for n in range(1, RECIPIENTS_MAX + 1)), body="to each")
    assert write(sender, lambda tx: send(tx, named)).recipient_count == RECIPIENTS_MAX
    last = Caller(workspace_id, Role.AGENT, "t", ids[-1], f"agent-{RECIPIENTS_MAX}", "ai")
    write(last, lambda tx: ack_message(tx, MessageChosen(message_id=sent.id)))
    assert server.store.read_now(last, lambda tx: unread_count(tx, ids[-1])) == 1
    page = server.store.read_now(
        sender, lambda tx: list_receipts(tx, ListReceipts(message_id=sent.id, limit=200))
    )
    assert len(page.items) == 200
    join(RECIPIENTS_MAX + 1, RECIPIENTS_MAX + 2)
    with pytest.raises(TooManyRecipients):
        write(sender, lambda tx: send(tx, everybody))
    assert server.store.read_now(last, lambda tx: unread_count(tx, ids[-1])) == 1
