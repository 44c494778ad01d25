"""What is due is settled in bounded pieces, so that others can write between two of them; each thing once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from harness import Mesh, Speaker
from repomesh.kernel import limits
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.store.log import events

pytestmark = pytest.mark.anyio

_BOUNDS = (
    "AGENTS_SWEPT_MAX",
    "LEASES_RECLAIMED_MAX",
    "RECLAIM_MAX",
    "QUESTIONS_DUE_MAX",
    "UNDELIVERED_MAX",
    "WAITS_FORGOTTEN_MAX",
    "TOKENS_CLOSED_MAX",
)
_BOUND = 2
_DUE = 2 * _BOUND + 1


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _BOUNDS:
        monkeypatch.setattr(limits, name, _BOUND)


async def _pieces(mesh: Mesh, name: str, count: Callable[[Any], int], workspace_id: str) -> list[int]:
    """How much each call of a command did until nothing was left."""
    operation = mesh.server.sweeper._registry[name]
    pieces: list[int] = []
    while True:
        caller = system_caller(workspace_id)
        answer = await mesh.server.dispatch(operation, caller, operation.request(), RequestContext())
        pieces.append(count(answer.result))
        if answer.result.complete:  # type: ignore[attr-defined]
            return pieces
        assert len(pieces) <= _DUE


async def _events(mesh: Mesh, type_: str) -> Counter[str]:
    """How many events of a type there are of each subject, in all workspaces."""
    chosen = select(events.c.subject).where(events.c.type == type_)
    found = await mesh.server.store.read(system_caller(""), lambda tx: tx.execute(chosen).scalars().all())
    return Counter(found)


async def _home(mesh: Mesh) -> str:
    return str((await mesh.get("/v1/workspace"))["id"])


async def _questions(mesh: Mesh) -> None:
    ada = await mesh.agent("ada")
    for number in range(_DUE):
        await ada.post("/v1/questions", question=f"Which, {number}?", default="the first", deadline_s=60)


async def test_questions_are_settled_in_pieces(mesh: Mesh) -> None:
    await _questions(mesh)
    await mesh.server.sweeper.stop()  # it would be first
    mesh.clock.advance(120)
    pieces = await _pieces(mesh, "question.settle", lambda done: len(done.question_ids), await _home(mesh))
    assert pieces == [_BOUND, _BOUND, 1]
    settled = await _events(mesh, "question.defaulted")
    assert (len(settled), set(settled.values())) == (_DUE, {1})


async def _messages(mesh: Mesh, recipients: int = 1) -> None:
    ada = await mesh.agent("ada")
    names = [(await mesh.agent(f"reader-{number}")).name for number in range(recipients)]
    for number in range(_DUE):
        await ada.post("/v1/messages", to=names, subject=f"{number}", body="Read this.", ttl_s=60)


async def test_messages_expire_in_pieces(mesh: Mesh) -> None:
    await _messages(mesh)
    await mesh.server.sweeper.stop()  # it would be first
    mesh.clock.advance(120)
    pieces = await _pieces(mesh, "message.expire", lambda done: len(done.message_ids), await _home(mesh))
    assert pieces == [_BOUND, _BOUND, 1]
    reported = await _events(mesh, "message.undelivered")
    assert (len(reported), set(reported.values())) == (_DUE, {1})


async def test_messages_to_many_expire_in_smaller_pieces(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNDELIVERED_RECIPIENTS_MAX", 3)
    await _messages(mesh, recipients=2)
    await mesh.server.sweeper.stop()  # it would be first
    mesh.clock.advance(120)
    pieces = await _pieces(mesh, "message.expire", lambda done: len(done.message_ids), await _home(mesh))
    assert pieces == [1] * _DUE


async def _claims(mesh: Mesh) -> None:
    for number in range(_DUE):
        agent = await mesh.agent(f"agent-{number}")
        await mesh.post("/v1/tasks", goal=f"number {number}")
        await agent.post("/v1/tasks/next/claim", ttl_s=60)


async def test_what_silent_agents_held_is_taken_back_in_pieces(mesh: Mesh) -> None:
    await _claims(mesh)
    await mesh.server.implicit_heartbeats.stop()
    await mesh.server.sweeper.stop()
    mesh.clock.advance(1_000)
    pieces = await _pieces(mesh, "recovery.reconcile", lambda done: len(done.tasks), await _home(mesh))
    assert (sum(pieces), max(pieces)) == (_DUE, _BOUND)
    for type_ in ("task.reclaimed", "lease.expired", "agent.status_changed"):
        told = await _events(mesh, type_)
        assert (len(told), set(told.values())) == (_DUE, {1}), type_


async def _removed_workspace(mesh: Mesh) -> str:
    added = await mesh.post("/v1/workspaces", name="other")
    owner = Speaker(mesh.http, added["token"])
    for _ in range(_DUE - 1):
        await owner.post("/v1/tokens", role="observer")
    await mesh.delete(f"/v1/workspaces/{added['workspace']['id']}")
    return str(added["workspace"]["id"])


async def test_tokens_of_a_removed_workspace_are_revoked_in_pieces(mesh: Mesh) -> None:
    await mesh.server.sweeper.stop()
    workspace_id = await _removed_workspace(mesh)
    pieces = await _pieces(mesh, "workspace.close", lambda done: int(done.tokens), workspace_id)
    assert pieces == [_BOUND, _BOUND, 1]


async def test_one_pass_of_the_sweeper_settles_all_that_is_due(mesh: Mesh) -> None:
    await _questions(mesh)
    await _messages_of_nobody_present(mesh)
    await _claims(mesh)
    await mesh.server.implicit_heartbeats.stop()
    mesh.clock.advance(1_000)
    await mesh.sweep()
    for type_ in ("question.defaulted", "message.undelivered", "task.reclaimed"):
        told = await _events(mesh, type_)
        assert (len(told), set(told.values())) == (_DUE, {1}), type_


async def _messages_of_nobody_present(mesh: Mesh) -> None:
    eve = await mesh.agent("eve")
    await mesh.agent("reader")
    for number in range(_DUE):
        await eve.post("/v1/messages", to=["reader"], subject=f"{number}", body="Read this.", ttl_s=60)
