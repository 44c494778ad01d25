"""How many sessions of the older handshake may be open, and which one ends for another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from harness import Speaker
from live import LiveMesh
from rawsocket import until
from repomesh.kernel import limits
from tooling import OLDER, Session, line

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

TOKEN_MAX = 3
MAX = 5


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test reaches."""
    monkeypatch.setattr(limits, "MCP_TOKEN_SESSIONS_MAX", TOKEN_MAX)
    monkeypatch.setattr(limits, "MCP_SESSIONS_MAX", MAX)


async def opened(speaker: Speaker, count: int) -> list[Session]:
    return [await Session.open(speaker) for _ in range(count)]


async def are_open(*sessions: Session) -> list[bool]:
    """Which of them still are; to ask is to use them, in this order."""
    return [(await session.ask("tools/list")).status_code == 200 for session in sessions]


async def hello(speaker: Speaker, **headers: str) -> httpx.Response:
    """The answer to a request for a new session."""
    who = {"name": "tester", "version": "1"}
    body = line("initialize", stateless=False, protocolVersion=OLDER, capabilities={}, clientInfo=who)
    return await posted(speaker, body, **headers)


async def posted(speaker: Speaker, body: object, **headers: str) -> httpx.Response:
    accept = {"Accept": "application/json, text/event-stream"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await speaker.request("POST", "/mcp", json=body, headers=accept | named)


async def opened_at_last(speaker: Speaker) -> None:
    """Open one more session, as soon as the server has seen that a stream was closed."""

    async def opens() -> bool:
        return (await hello(speaker)).status_code == 200

    await until(opens)


@asynccontextmanager
async def listening(*sessions: Session) -> AsyncIterator[None]:
    """Inside, each of the sessions has an open stream."""
    async with AsyncExitStack() as streams:
        for session in sessions:
            bearer = {"Authorization": f"Bearer {session.speaker.token}", "Accept": "text/event-stream"}
            http = session.speaker.http
            stream = http.stream("GET", "/mcp", headers=session.headers | bearer)
            assert (await streams.enter_async_context(stream)).status_code == 200
        yield


async def test_beyond_its_limit_a_token_loses_its_longest_idle_session(live: LiveMesh) -> None:
    others = await opened(await live.agent("alice"), 1)
    first, second, third = await opened(await live.observer(), TOKEN_MAX)
    assert await are_open(second, third, first) == [True] * 3
    fourth = await Session.open(first.speaker)
    assert await are_open(second, third, first, fourth, *others) == [False, True, True, True, True]


async def test_a_session_with_a_request_running_is_not_ended_for_another(live: LiveMesh) -> None:
    first, second, third = await opened(await live.observer(), TOKEN_MAX)
    async with listening(first):
        await Session.open(first.speaker)
        assert await are_open(first, second, third) == [True, False, True]


async def test_when_all_are_busy_a_client_hears_when_to_try_again(live: LiveMesh) -> None:
    sessions = await opened(await live.observer(), TOKEN_MAX)
    async with listening(*sessions):
        answer = await hello(sessions[0].speaker)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_mcp_sessions")
        assert int(answer.headers["retry-after"]) > 0
        assert await are_open(*await opened(live, 1)) == [True], "others have their own places"
    await opened_at_last(sessions[0].speaker)
    assert sorted(await are_open(*sessions)) == [False, True, True]


async def test_when_all_places_are_taken_the_token_with_the_most_sessions_loses_one(live: LiveMesh) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    by_alice = await opened(alice, MAX - TOKEN_MAX)
    many = await opened(await live.observer(), TOKEN_MAX)
    by_bob = await Session.open(bob)
    assert await are_open(*by_alice, by_bob) == [True] * (MAX - TOKEN_MAX + 1)
    assert await are_open(*many) == [False, True, True]


async def test_a_token_with_fewer_sessions_loses_none(live: LiveMesh) -> None:
    [by_alice] = await opened(await live.agent("alice"), 1)
    bob, carol = await live.agent("bob"), await live.agent("carol")
    by_bob, by_carol = await opened(bob, 2), await opened(carol, 2)
    async with listening(*by_bob, *by_carol):
        assert (await hello(bob)).status_code == 503
        assert await are_open(by_alice) == [True]
    await opened_at_last(bob)
    assert await are_open(by_alice) == [True]


async def test_the_agent_of_a_session_that_is_ended_leaves(live: LiveMesh) -> None:
    first = await Session.open(live)
    await first.call("register_agent", name="alice")
    await opened(live, TOKEN_MAX - 1)
    assert (await live.get("/v1/agents/alice"))["status"] == "active"
    await Session.open(live)
    assert (await live.get("/v1/agents/alice"))["status"] == "inactive"


async def test_what_opens_no_session_ends_none(live: LiveMesh) -> None:
    sessions = await opened(live, TOKEN_MAX)
    assert (await posted(live, line("tools/list", stateless=False))).status_code == 400
    assert (await posted(live, [])).status_code == 400
    assert (await hello(live, Mcp_Session_Id="stale")).status_code == 404
    assert await are_open(*sessions) == [True] * TOKEN_MAX


async def test_a_session_that_could_not_be_opened_takes_no_place(live: LiveMesh) -> None:
    sessions = await opened(live, TOKEN_MAX - 1)
    for _ in range(2):
        assert (await hello(live, Accept="text/plain")).status_code == 406
    assert await are_open(*sessions, await Session.open(live)) == [True] * TOKEN_MAX


async def test_a_session_that_was_ended_by_its_client_frees_its_place(live: LiveMesh) -> None:
    sessions = await opened(live, TOKEN_MAX)
    assert (await sessions[1].close()).status_code == 200
    assert await are_open(await Session.open(live), sessions[0], sessions[2]) == [True] * 3
