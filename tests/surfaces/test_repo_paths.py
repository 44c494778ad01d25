"""Places for connections: who gets one, and who goes when they are short."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from conftest import MovableClock
from harness import Mesh, Refused
from live import LiveMesh, live, serving, url_of
from rawsocket import Raw, connected, in_loop, request, until
from repomesh.app import Server
from repomesh.kernel import limits, open_files
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.surfaces.http.connections import OpenConnection, OpenConnections

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])

__all__ = ["live"]

PLACES = 4


@pytest.fixture
async def cramped(server: Server, settings: Settings, clock: MovableClock) -> AsyncIterator[LiveMesh]:
    """A mesh with few places for connections."""
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    with serving(server, places=PLACES) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            yield LiveMesh(server, http, token, clock, web)


async def places_taken(mesh: LiveMesh) -> int:
    async def count() -> int:
        return len(mesh.web.connections)

    return int(await in_loop(mesh, count()))


async def authenticate(raw: Raw, mesh: LiveMesh) -> int:
    await raw.send(request("GET", "/v1/agents", f"Authorization: Bearer {mesh.token}"))
    return (await raw.answer()).status


@on_sqlite
async def test_who_shows_no_token_makes_room_for_others(cramped: LiveMesh) -> None:
    async with AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(connected(cramped)) for _ in range(3 * PLACES)]
        assert (await cramped.http.get("/healthz")).status_code == 200
        assert await places_taken(cramped) == PLACES
        assert [await raw.rest() for raw in idle[: -PLACES + 1]] == [b""] * (2 * PLACES + 1)


@on_sqlite
async def test_who_showed_a_token_keeps_the_place(cramped: LiveMesh) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(connected(cramped))
        assert await authenticate(first, cramped) == 200
        for _ in range(3 * PLACES):
            await stack.enter_async_context(connected(cramped))
        assert await authenticate(first, cramped) == 200


@on_sqlite
async def test_when_all_showed_a_token_the_next_is_told_to_come_back(
    cramped: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(PLACES):
            raw = await stack.enter_async_context(connected(cramped))
            assert await authenticate(raw, cramped) == 200
        late = await stack.enter_async_context(connected(cramped))
        answer = await late.answer()
        assert (answer.status, answer.code) == (503, "too_many_connections")
        assert "retry-after" in answer.headers
        assert await places_taken(cramped) == PLACES


@on_sqlite
async def test_a_place_is_free_when_its_connection_is_gone(live: LiveMesh) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(connected(live))
        await live.get("/v1/agents")

    async def is_alone() -> bool:
        return await places_taken(live) == 1  # the mesh's own client

    await until(is_alone)


class Wired(asyncio.Transport):
    """A transport from an address, which leads nowhere."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def test_a_foreign_address_has_its_own_limit_and_this_machine_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "ADDRESS_UNAUTHENTICATED_MAX", 2)
    for address, another, is_limited in (
        ("192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("::1", "::1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", False),
    ):
        connections = OpenConnections(100)
        wired = [Wired(address), Wired(another), Wired(another)]
        for transport in wired:
            assert connections.take(transport) is not None
        assert [transport.aborted for transport in wired] == [is_limited, False, False], address
    connections = OpenConnections(100)
    authenticated = [connections.take(Wired("192.0.2.1")) for _ in range(1)]
    for connection in authenticated:
        assert isinstance(connection, OpenConnection)
        connection.mark_authenticated()
    for _ in range(5):
        connections.take(Wired("192.0.2.1"))
    assert len(connections) == 3


def test_unauthenticated_connections_are_bounded_among_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNAUTHENTICATED_CONNECTIONS_MAX", 3)
    connections = OpenConnections(100)
    for _ in range(10):
        connections.take(Wired("127.0.0.1"))
    assert (len(connections), connections.unauthenticated) == (3, 3)


def test_places_leave_open_files_to_the_rest_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, places in ((256, 192), (1_024, 768), (20_000, 10_000), (8_192, 7_168)):
        monkeypatch.setattr(open_files, "limit", lambda allowed=allowed: allowed)
        assert open_files.connections_max() == places


@on_sqlite
async def test_readiness_says_when_open_files_run_out_and_recovers(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OPEN_FILES_COUNTED_EVERY_S", 0.0)
    assert (await mesh.get("/readyz"))["status"] == "ready"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, hard))  # more are open than that
    try:
        with pytest.raises(Refused) as refused:
            await mesh.get("/readyz")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused.value.status == 503
    assert "open files" in refused.value.problem["detail"]
    assert (await mesh.get("/readyz"))["status"] == "ready"


def test_the_limit_of_open_files_is_raised_to_what_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        open_files.raise_limit()
        assert open_files.limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on_sqlite
async def test_mcp_comes_back_after_it_could_not_be_built(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when no file can be opened at the moment when its library is imported."""
    monkeypatch.setattr("repomesh.surfaces.mcp.mount.REBUILD_AFTER_S", (0.01,))
    attempts: list[Any] = []

    def extend(server: Any) -> None:
        attempts.append(server)
        if len(attempts) == 1:
            raise OSError(24, "Too many open files")

    mesh.server.mcp.extensions.append(extend)
    refused = await tools(mesh)
    assert refused.status_code == 503
    await until(lambda: answers(mesh, 200))
    assert len(attempts) == 2


@on_sqlite
async def test_mcp_comes_back_after_its_task_group_failed(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repomesh.surfaces.mcp.mount.REBUILD_AFTER_S", (0.2,))
    assert (await tools(mesh)).status_code == 200
    endpoint: Any = await mesh.server.mcp.endpoint()

    async def fail() -> None:
        raise OSError(24, "Too many open files")

    endpoint._session_manager._task_group.start_soon(fail)

    async def is_not_ready() -> bool:
        return (await mesh.http.get("/readyz")).status_code == 503

    await until(is_not_ready)
    assert "MCP" in (await mesh.http.get("/readyz")).json()["detail"]
    assert (await tools(mesh)).status_code == 503
    await until(lambda: answers(mesh, 200))
    assert (await mesh.http.get("/readyz")).status_code == 200


async def answers(mesh: Mesh, status: int) -> bool:
    return (await tools(mesh)).status_code == status


async def tools(mesh: Mesh) -> httpx.Response:
    """What `/mcp` answers to a client that asks for the tools."""
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
        "Mcp-Method": "tools/list",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    return await mesh.request("POST", "/mcp", json=body, headers=headers)
