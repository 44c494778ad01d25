"""Waits that outlive the call which began them: kept in the store and polled.

Nothing runs for a wait. Each look at it queries the inbox, so a wait costs nothing in between and survives
a restart.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from repomesh.domains.messaging.messages.models import MessageIds, ReceivedMessage, WaitForMessages
from repomesh.domains.messaging.messages.reading import (
    offered_follow_up,
    unoffered_ids,
    wait_for_messages,
)
from repomesh.domains.messaging.waits.errors import WaitNotFound
from repomesh.domains.messaging.waits.models import BeginWait, ForgetWaits, ForgottenWaits, Wait, WaitChosen
from repomesh.domains.messaging.waits.tables import waits
from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Due, command
from repomesh.store.due import NOW, due_in_each
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_OWN = (
    waits.c.workspace_id == bindparam("ws"),
    waits.c.id == bindparam("wait"),
    waits.c.agent_id == bindparam("agent"),
)
_FIND = PreparedStatement(select(waits).where(*_OWN))
_INSERT = PreparedStatement(insert(waits))


def _offered_follow_up(_request: Any, wait: Wait) -> tuple[str, MessageIds] | None:
    """After the answer has left, mark the messages in it as offered."""
    return None if wait.result is None else offered_follow_up(unoffered_ids(wait.result.items))


@command("wait.begin", scope="messages:write", needs_agent=True)
def begin_wait(tx: Transaction, request: BeginWait) -> Wait:
    """Begin a wait of the acting agent. If it has too many, its oldest open waits are cancelled."""
    agent_id = tx.caller.acting_agent()
    _cancel_surplus(tx, agent_id)
    until = tx.now + timedelta(seconds=request.wait_s)
    row = {
        "workspace_id": tx.workspace_id,
        # Random, unlike other ids: an id that can be guessed would reveal the wait of another agent.
        "id": str(uuid.uuid4()),
        "agent_id": agent_id,
        "request": request.wanted.model_dump(mode="json", exclude_defaults=True),
        "status": "waiting",
        "result": None,
        "created_at": tx.now,
        "updated_at": tx.now,
        "until": until,
        "expires_at": until + timedelta(seconds=limits.WAIT_RESULT_KEPT_S),
    }
    tx.execute(_INSERT, row)
    return _as_wait(row)


@command(
    "wait.look",
    scope="messages:write",
    errors=(WaitNotFound,),
    needs_agent=True,
    follow_up=_offered_follow_up,
)
def look_at_wait(tx: Transaction, request: WaitChosen) -> Wait:
    """Show a wait of the acting agent: it ends when there is a message, or when its time has passed.

    The result of a wait that has ended stays the same; a cancelled wait stays cancelled.
    """
    row = _find(tx, request)
    if row["status"] != "waiting":
        return _as_wait(row)
    unread = wait_for_messages(tx, WaitForMessages.model_validate(row["request"]))
    if not unread.items and not unread.omitted and tx.now < row["until"]:
        return _as_wait(row)
    return _end(tx, row, "over", unread)


@command("wait.cancel", scope="messages:write", errors=(WaitNotFound,), needs_agent=True)
def cancel_wait(tx: Transaction, request: WaitChosen) -> Wait:
    """Cancel a wait of the acting agent. A wait that has ended stays as it is."""
    row = _find(tx, request)
    return _as_wait(row) if row["status"] != "waiting" else _end(tx, row, "cancelled", None)


_OLD = due_in_each(waits.c.workspace_id, waits.c.expires_at <= NOW)


@command("wait.forget", scope="messages:admin", due=(Due(lambda _: _OLD, every_s=limits.HOUSEKEEPING_S),))
def forget_waits(tx: Transaction, request: ForgetWaits) -> ForgottenWaits:
    """Delete waits that nobody will ask for any more."""
    table = waits.c
    is_old = table.workspace_id == tx.workspace_id, table.expires_at <= tx.now
    batch = select(table.id).where(*is_old).limit(limits.WAITS_FORGOTTEN_MAX)
    count = tx.change(delete(waits).where(table.workspace_id == tx.workspace_id, table.id.in_(batch)))
    return ForgottenWaits(count=count, complete=count < limits.WAITS_FORGOTTEN_MAX)


def _cancel_surplus(tx: Transaction, agent_id: str) -> None:
    """Cancel the oldest waits of an agent, so that one more may begin."""
    table = waits.c
    own_waits = table.workspace_id == tx.workspace_id, table.agent_id == agent_id, table.status == "waiting"
    newest = select(table.id).where(*own_waits).order_by(table.created_at.desc(), table.id)
    surplus = tx.execute(newest.offset(limits.WAITS_PER_AGENT_MAX - 1)).scalars().all()
    if surplus:
        are_surplus = table.workspace_id == tx.workspace_id, table.id.in_(surplus)
        tx.execute(update(waits).where(*are_surplus).values(status="cancelled", updated_at=tx.now))


def _find(tx: Transaction, request: WaitChosen) -> dict[str, Any]:
    key = {"ws": tx.workspace_id, "wait": request.wait_id, "agent": tx.caller.acting_agent()}
    row = tx.execute(_FIND, key).one_or_none()
    if row is None or row.expires_at <= tx.now:
        raise WaitNotFound("the acting agent has no such wait")
    fields: dict[str, Any] = row._asdict()
    return fields


def _end(tx: Transaction, row: dict[str, Any], status: str, result: Page[ReceivedMessage] | None) -> Wait:
    values = {
        "status": status,
        "result": None if result is None else result.model_dump_json(),
        "updated_at": tx.now,
    }
    of_wait = waits.c.workspace_id == tx.workspace_id, waits.c.id == row["id"]
    tx.execute(update(waits).where(*of_wait).values(**values))
    return _as_wait(row | values)


def _as_wait(row: dict[str, Any]) -> Wait:
    result_json = row["result"]
    return Wait(
        id=row["id"],
        status=row["status"],
        result=None if result_json is None else Page[ReceivedMessage].model_validate_json(result_json),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        expires_at=row["expires_at"],
    )
