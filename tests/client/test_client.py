"""The typed client against a real server, and against lines that break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from harness import Mesh
from repomesh.client import client as client_module
from repomesh.client.client import Client
from repomesh.client.errors import MissingField, RemoteError, ServerFrozen, ServerUnreachable
from repomesh.domains.agents.models import Agent, AgentDetail, Registration
from repomesh.kernel.errors import Failure
from repomesh.kernel.fields import Page

pytestmark = pytest.mark.anyio


class Line(httpx.AsyncBaseTransport):
    """The way to a server. `breaks` says before or after which requests it breaks."""

    def __init__(self, mesh: Mesh, *breaks: str) -> None:
        self.inner = httpx.ASGITransport(mesh.server.asgi)
        self.breaks = list(breaks)
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        broken = self.breaks.pop(0) if self.breaks else ""
        if broken == "before":
            raise httpx.ConnectError("refused")
        response = await self.inner.handle_async_request(request)
        if broken == "after":
            raise httpx.ReadError("reset")
        return response


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAUSE_S", 0.01)


@pytest.fixture
async def owner(mesh: Mesh) -> AsyncIterator[Client]:
    async with _client(mesh) as made:
        yield made


def _client(mesh: Mesh, *breaks: str) -> Client:
    return Client("http://localhost", mesh.token, transport=Line(mesh, *breaks))


async def test_an_operation_answers_its_model(owner: Client) -> None:
    made = await owner.call("agent.register", name="alice", capabilities=["python", "sql"])
    assert isinstance(made, Registration)
    listed = await owner.call("agent.list", capability="sql", limit=5)
    assert isinstance(listed, Page[Agent])
    assert [agent.name for agent in listed.items] == ["alice"]
    shown = await owner.call("agent.show", agent_id="alice")
    assert shown == AgentDetail(**listed.items[0].model_dump(), former_names=[])


async def test_a_list_is_read_to_its_end(owner: Client) -> None:
    for number in range(5):
        await owner.call("agent.register", name=f"agent-{number}")
    names = [agent["name"] async for agent in owner.items("agent.list", limit=2)]
    assert names == [f"agent-{number}" for number in range(5)]


async def test_a_refusal_carries_code_hint_and_class(owner: Client) -> None:
    with pytest.raises(RemoteError) as refused:
        await owner.call("agent.show", agent_id="nobody")
    error = refused.value
    assert (error.status, error.code, error.failure, error.exit_code) == (
        404,
        "agent_not_found",
        Failure.NOT_FOUND,
        3,
    )
    assert error.hint


async def test_a_field_of_the_path_must_be_given(owner: Client) -> None:
    with pytest.raises(MissingField):
        await owner.call("agent.show")


@pytest.mark.parametrize("broken", ["before", "after"])
async def test_a_command_whose_answer_was_lost_acts_once(mesh: Mesh, broken: str) -> None:
    async with _client(mesh, broken) as client:
        made = await client.call_json("agent.register", {"name": "alice", "reuse_existing": False})
        line = client.http._transport
        assert isinstance(line, Line)
        assert len({request.headers["Idempotency-Key"] for request in line.sent}) == 1
        assert len(line.sent) == 2
    assert made["agent"]["name"] == "alice"


async def test_silence_is_told_after_a_few_tries(mesh: Mesh) -> None:
    async with _client(mesh, "before", "before", "before") as client:
        with pytest.raises(ServerUnreachable):
            await client.call("agent.list")


async def test_an_answer_of_another_shape_is_a_refusal() -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": [{"name": "alice"}], "next_cursor": None})

    async with Client("http://localhost", "rpm_x", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(RemoteError) as refused:
            await client.call("agent.list")
    assert refused.value.code == "not_repomesh"


async def test_a_server_that_takes_connections_and_answers_nobody_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One whose process is stopped: the system goes on accepting for it."""
    monkeypatch.setattr(client_module, "SILENCE_S", 0.05)
    monkeypatch.setattr(client_module, "HEALTH_S", 0.05)
    stopped = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = stopped.sockets[0].getsockname()[1]
    async with stopped, Client(f"http://127.0.0.1:{port}", "rpm_token") as client:
        with pytest.raises(ServerFrozen, match="answered nothing"):
            await client.call("agent.list")


async def test_a_long_wait_goes_on_while_the_server_answers_others(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "SILENCE_S", 0.05)
    await owner.call("agent.register", name="alice")
    owner.act_as("alice")
    assert (await owner.call_json("message.wait", {"timeout_s": 0.3}))["items"] == []
