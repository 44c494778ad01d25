"""What one needs to know to work on a task comes in one answer, within a budget."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Mesh, Refused
from repomesh.domains.overview.task_context import rules
from repomesh.domains.overview.task_context.models import (
    ContextDependency,
    ContextEvent,
    ContextLock,
    ContextMessage,
    ContextTask,
    TaskContext,
)

pytestmark = pytest.mark.anyio

AT = datetime(2026, 1, 1, tzinfo=UTC)
ID = "01890000-0000-7000-8000-000000000000"
TEXTS = st.text(st.sampled_from('ab "\n\\é€'), max_size=3000)


@pytest.mark.parametrize("max_chars", [1_000, 3_000, 12_000])
async def test_the_context_is_all_that_stands_around_a_task(mesh: Mesh, max_chars: int) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    first = await mesh.post("/v1/tasks", goal="first")
    held = await alice.post("/v1/tasks/next/claim")
    await alice.post(
        f"/v1/tasks/{first['id']}/complete",
        fencing_token=held["fencing_token"],
        result="It is under src/a.py.",
    )
    second = await mesh.post("/v1/tasks", goal="second", dependencies=[first["id"]], scope=["src/"])
    await alice.post(
        "/v1/messages", to=["bob"], subject="Careful", body="Mind the gap.", task_id=second["id"]
    )
    await alice.post("/v1/messages", to=["bob"], subject="See", body=f"{second['id']} is yours.")
    await alice.post("/v1/events", type="plan.updated", task_id=second["id"], data={"step": 2})
    await alice.post("/v1/locks/acquire", resources=["src/a.py"], note="still writing")
    response = await bob.request("GET", f"/v1/tasks/{second['id']}/context", params={"max_chars": max_chars})
    assert len(response.text) <= max_chars
    context = response.json()
    assert context["task"]["goal"] == "second"
    if max_chars < 12_000:
        return
    assert context["omitted"] is None
    assert [(one["status"], one["result"]) for one in context["dependencies"]] == [
        ("done", "It is under src/a.py.")
    ]
    assert [one["subject"] for one in context["messages"]] == ["See", "Careful"]
    assert [(one["type"], one["text"]) for one in context["events"]] == [
        ("plan.updated", '{"step":2}'),
        ("task.created", ""),
    ]
    assert [(one["resource"], one["holder_name"]) for one in context["locks"]] == [("src/a.py", "alice")]


async def test_a_direct_message_is_in_the_context_of_those_who_may_read_it(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    made = await mesh.post("/v1/tasks", goal="secret")
    await alice.post("/v1/messages", to=["bob"], subject="Psst", body="x", task_id=made["id"])
    path = f"/v1/tasks/{made['id']}/context"
    assert [len((await who.get(path))["messages"]) for who in (alice, bob, carol)] == [1, 1, 0]


async def test_the_context_of_no_task_is_not_found(mesh: Mesh) -> None:
    with pytest.raises(Refused) as refused:
        await mesh.get(f"/v1/tasks/{ID}/context")
    assert refused.value.code == "task_not_found"


def a_context(text: str, count: int) -> TaskContext:
    lock: dict[str, Any] = {"mode": "shared", "expires_at": AT, "waiting": False, "holder_name": "h" * 64}
    return TaskContext(
        task=ContextTask(
            id=ID,
            goal=text[:200],
            description=text,
            type="research",
            priority=-1000,
            status="cancelled",
            agent_name="a" * 64,
            scope=["s" * 300] * count,
            percent=100,
            note=text,
            result=text,
            reason=text,
        ),
        dependencies=[ContextDependency(id=ID, goal="g", status="done", agent_name="b", result=text)] * count,
        messages=[ContextMessage(id=ID, sender_name="c", subject="s" * 200, body=text, created_at=AT)]
        * count,
        events=[ContextEvent(seq=1, type="task.failed", agent_name="d", at=AT, text=text)] * count,
        locks=[ContextLock(resource="r" * 300, note=text, **lock)] * count,
    )


@given(text=TEXTS, count=st.integers(0, 20), max_chars=st.integers(1_000, 20_000))
def test_a_context_never_exceeds_its_budget_and_says_what_it_left_out(
    text: str, count: int, max_chars: int
) -> None:
    whole = a_context(text, count)
    shown = rules.fit_context(whole, max_chars)
    assert len(shown.model_dump_json()) <= max_chars
    assert shown.task.goal == whole.task.goal or max_chars < 1_300
    for name in ("dependencies", "messages", "events", "locks"):
        missing = len(getattr(whole, name)) - len(getattr(shown, name))
        assert (f"{name} left out: {missing}" in (shown.omitted or "")) == (missing > 0)
