"""Sessions of the older handshake, waits, and how both end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from live import LiveMesh
from tooling import Session, ToolRefused, ask, call

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]


async def waits_ended(live: LiveMesh, code: str) -> int:
    """How many waits for messages ended so."""
    text = (await live.request("GET", "/metrics")).text
    series = f'repomesh_operations_total{{code="{code}",operation="message.wait"}} '
    return sum(int(float(line.removeprefix(series))) for line in text.splitlines() if line.startswith(series))


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - what is waited for happens in the server
            await asyncio.sleep(0.02)


async def waiting(live: LiveMesh, count: int = 1) -> None:
    """Return when so many calls wait."""

    async def enough() -> bool:
        return len(live.server.dispatch._waiting_tasks) >= count

    await eventually(enough)


async def test_a_session_speaks_as_the_agent_that_registered_in_it(live: LiveMesh) -> None:
    session = await Session.open(live)
    with pytest.raises(ToolRefused) as early:
        await session.call("read_inbox")
    assert (early.value.code, "register_agent" in early.value.body["hint"]) == ("agent_required", True)
    made = await session.call("register_agent", name="alice")
    assert "token" not in made
    bob = await live.agent("bob")
    await session.call("send_message", to=["bob"], body="hello")
    assert (await call(bob, "read_inbox"))["items"][0]["sender_name"] == "alice"
    again = await session.call("register_agent", capabilities=["python"])
    assert again["instance_id"] == made["instance_id"]
    other = await Session.open(live)
    with pytest.raises(ToolRefused) as elsewhere:
        await other.call("read_inbox")
    assert elsewhere.value.code == "agent_required"


async def test_a_session_is_one_agent(live: LiveMesh) -> None:
    session = await Session.open(live)
    await session.call("register_agent", name="alice")
    with pytest.raises(ToolRefused) as refused:
        await session.call("register_agent", name="bob")
    assert refused.value.code == "not_your_agent"


async def test_a_session_is_nobody_elses(live: LiveMesh) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    session = await Session.open(alice)
    assert (await session.ask("tools/list")).status_code == 200
    for stranger in (bob, live):
        assert (await session.ask("tools/list", speaker=stranger)).status_code == 404
    assert (await session.ask("tools/list", speaker=live.anonymous())).status_code == 401
    assert (await Session(bob, session.headers).close()).status_code == 404
    assert (await session.close()).status_code == 200
    assert (await session.ask("tools/list")).status_code == 404


async def test_a_session_opened_as_one_agent_does_not_serve_another(live: LiveMesh) -> None:
    await live.agent("alice")
    await live.agent("bob")
    session = await Session.open(live, {"X-Repomesh-Agent": "alice"})
    assert (await session.call("read_inbox"))["items"] == []
    session.headers["X-Repomesh-Agent"] = "bob"
    assert (await session.ask("tools/list")).status_code == 404


async def test_an_agent_leaves_with_its_session(live: LiveMesh) -> None:
    session = await Session.open(live)
    await session.call("register_agent", name="alice")
    await session.call("acquire_locks", resources=["src/"])
    await session.close()
    assert (await live.get("/v1/agents/alice"))["status"] == "inactive"
    second = await Session.open(live)
    assert (await second.call("register_agent", name="alice"))["took_over"] is False


async def test_a_session_that_was_taken_over_is_told_so_and_may_come_back(live: LiveMesh) -> None:
    first, second = await Session.open(live), await Session.open(live)
    await first.call("register_agent", name="alice")
    await second.call("register_agent", name="alice", force=True)
    with pytest.raises(ToolRefused) as refused:
        await first.call("read_inbox")
    assert refused.value.code == "instance_replaced"
    await first.call("register_agent", name="bob")
    assert (await first.call("read_inbox"))["items"] == []


async def test_a_message_ends_the_wait_for_it(live: LiveMesh) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    session = await Session.open(bob)
    for wait in (session.call, lambda tool, **fields: call(bob, tool, **fields)):
        async with asyncio.TaskGroup() as tasks:
            found = tasks.create_task(wait("wait_for_messages", timeout_s=40.0))
            sent = await call(alice, "send_message", to=["bob"], body="there you are")
        assert found.result()["items"][0]["body"] == "there you are"
        await bob.post(f"/v1/messages/{sent['id']}/read")


async def refusal_of(wait: Any) -> str:
    with pytest.raises(ToolRefused) as refused:
        await wait
    return str(refused.value.code)


async def test_revoking_a_token_ends_what_waits_in_its_name(live: LiveMesh) -> None:
    bob = await live.agent("bob")
    session = await Session.open(bob)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waits = [
            tasks.create_task(refusal_of(call(bob, "wait_for_messages", timeout_s=40.0))),
            tasks.create_task(refusal_of(session.call("wait_for_messages", timeout_s=40.0))),
        ]
        stream = tasks.create_task(session.speaker.request("GET", "/mcp", headers=_listening(session)))
        await waiting(live, 2)
        await live.delete(f"/v1/tokens/{(bob.registration or {})['token_id']}")
    assert [wait.result() for wait in waits] == ["token_revoked", "token_revoked"]
    assert stream.result().status_code == 200
    assert (await ask(bob, "tools/list")).status_code == 401


async def test_a_takeover_ends_the_wait_of_the_session_that_was_replaced(live: LiveMesh) -> None:
    session = await Session.open(live)
    await session.call("register_agent", name="alice")
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(refusal_of(session.call("wait_for_messages", timeout_s=40.0)))
        await waiting(live)
        await live.agent("alice", force=True)
    assert wait.result() == "token_revoked"


async def test_a_client_that_goes_away_leaves_no_wait_behind(live: LiveMesh) -> None:
    bob = await live.agent("bob")
    session = await Session.open(bob)
    for number, wait in enumerate((session.call, lambda tool, **fields: call(bob, tool, **fields)), 1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await wait("wait_for_messages", timeout_s=40.0)

        async def ended(expected: int = number) -> bool:
            return await waits_ended(live, "cancelled") == expected

        await eventually(ended)


async def test_stopping_the_server_does_not_wait_for_open_calls(live: LiveMesh) -> None:
    bob = await live.agent("bob")
    session = await Session.open(bob)
    headers = _listening(session) | {"Authorization": f"Bearer {bob.token}"}
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        wait = tasks.create_task(refusal_of(session.call("wait_for_messages", timeout_s=40.0)))
        await waiting(live)
        async with bob.http.stream("GET", "/mcp", headers=headers) as stream:
            live.web.should_exit = True
            await stream.aread()
    assert wait.result() == "unavailable"
    assert stream.status_code == 200


def _listening(session: Session) -> dict[str, str]:
    return session.headers | {"Accept": "text/event-stream"}


async def test_a_session_is_listened_to_whatever_event_was_seen_last(live: LiveMesh) -> None:
    session = await Session.open(live)
    headers = _listening(session) | {"Authorization": f"Bearer {live.token}", "Last-Event-ID": "unknown"}
    async with live.http.stream("GET", "/mcp", headers=headers) as stream:
        assert stream.status_code == 200
