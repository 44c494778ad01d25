"""The outer wall: whom the server answers, by the Host and the Origin that a browser can't forge."""

from __future__ import annotations

import pytest

from asgi import request, websocket_close_code
from harness import Mesh
from repomesh.app import Server
from repomesh.kernel.settings import Settings
from repomesh.surfaces.http.asgi_messages import Receive, Scope, Send, respond
from repomesh.surfaces.http.request_filter import RequestFilter

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("engine", ["sqlite"])]

OURS = [
    b"localhost",
    b"localhost:8787",
    b"LocalHost:1",
    b"127.0.0.1:8787",
    b"[::1]",
    b"[::1]:8787",
]
FOREIGN = [
    b"",
    b"evil.example",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"localhost.",
    b"127.0.0.2",
    b"127.1",
    b"2130706433",
    b"0.0.0.0",
    b"[::ffff:127.0.0.1]",
    b"[::1",
    b"::1",
    b"[::1]x",
    b"localhost:port",
    b"localhost:999999",
    b"user@localhost",
    b"localhost/evil",
    b"localhost,evil.example",
    b"localhost\x00",
    b"\xff",
]


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the wall in these tests."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await respond(send, 200, b"{}")


def guard(settings: Settings, **values: object) -> RequestFilter:
    return RequestFilter(behind, settings.model_copy(update=values))


async def status(wall: RequestFilter, host: bytes, origin: bytes | None = None) -> int:
    headers = [(b"host", host), *([(b"origin", origin)] if origin is not None else [])]
    answer = await request(wall, "GET", "/", headers=headers)
    code = await websocket_close_code(wall, "/", headers)
    assert (code is None) == (answer.status == 200)
    assert code in (None, 4403)
    return answer.status


async def test_only_the_hosts_of_this_machine_are_answered(settings: Settings) -> None:
    wall = guard(settings)
    assert [host for host in OURS if await status(wall, host) != 200] == []
    assert [host for host in FOREIGN if await status(wall, host) != 421] == []
    for hosts in ([], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]):
        answer = await request(wall, "GET", "/", headers=[(b"host", host) for host in hosts])
        assert answer.status == 421
    assert answer.json["code"] == "misdirected"


async def test_only_our_own_pages_may_ask(settings: Settings) -> None:
    wall = guard(settings)
    for origin in (b"http://localhost:8787", b"http://127.0.0.1:3000", b"http://[::1]:8787"):
        assert await status(wall, b"localhost", origin) == 200, origin
    for origin in (
        b"https://evil.example",
        b"http://localhost.evil.example",
        b"null",
        b"",
        b"file://",
        b"http://[::1",
        b"http://localhost@evil.example",
        b"\xff",
    ):
        assert await status(wall, b"localhost", origin) == 403, origin


async def test_names_and_origins_can_be_added(settings: Settings) -> None:
    wall = guard(settings, allowed_hosts=["Mesh.example"], allowed_origins=["https://board.example/"])
    assert await status(wall, b"mesh.example:8787") == 200
    assert await status(wall, b"mesh.example", b"https://board.example") == 200
    assert await status(wall, b"mesh.example", b"http://board.example") == 403
    assert await status(wall, b"mesh.example", b"https://board.example:444") == 403
    assert await status(wall, b"board.example") == 421


async def test_listening_everywhere_admits_addresses_but_no_names_and_no_foreign_pages(
    settings: Settings,
) -> None:
    for host in ("0.0.0.0", "::"):
        wall = guard(settings, host=host)
        assert await status(wall, b"192.168.1.7:8787") == 200
        assert await status(wall, b"[fd00::7]:8787") == 200
        assert await status(wall, b"evil.example") == 421
        assert await status(wall, b"192.168.1.7:8787", b"http://192.168.1.7:8787") == 200
        assert await status(wall, b"192.168.1.7:8787", b"http://6.6.6.6") == 403


async def test_an_address_that_is_listened_on_is_a_host(settings: Settings) -> None:
    wall = guard(settings, host="192.168.1.7")
    assert await status(wall, b"192.168.1.7:8787") == 200
    assert await status(wall, b"192.168.1.8:8787") == 421


async def test_every_door_stands_behind_the_wall(server: Server) -> None:
    for path in ("/healthz", "/v1/agents", "/mcp", "/v1/stream", "/nowhere"):
        answer = await request(server.asgi, "GET", path, headers=[(b"host", b"evil.example")])
        assert (answer.status, answer.headers["content-type"]) == (421, "application/problem+json"), path
    for path in ("/v1/ws", "/v1/ws/meetings/01900000-0000-7000-8000-000000000000"):
        code = await websocket_close_code(server.asgi, path, [(b"host", b"evil.example")])
        assert code == 4403, path


@pytest.mark.settings(allowed_origins=["https://board.example"])
async def test_a_listed_page_may_read_the_answers(mesh: Mesh) -> None:
    page = {"Origin": "https://board.example"}
    asked = await mesh.http.options(
        "/v1/agents/register", headers=page | {"Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://board.example"
    assert "authorization" in asked.headers["access-control-allow-headers"]
    for path in ("/v1/agents", "/v1/agents/nobody"):
        answer = await mesh.request("GET", path, headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://board.example"
        assert "etag" in answer.headers["access-control-expose-headers"]
    own = await mesh.request("GET", "/v1/agents", headers={"Origin": "http://localhost"})
    assert "access-control-allow-origin" not in own.headers


async def test_a_plain_health_check_needs_no_host(settings: Settings) -> None:
    """Load balancers send HTTP/1.0 without one, as no browser does."""
    for version, path, expected in (("1.0", "/healthz", 200), ("1.1", "/healthz", 421), ("1.0", "/", 421)):
        answer = await request(guard(settings), "GET", path, headers=[], http_version=version)
        assert answer.status == expected, (version, path)
