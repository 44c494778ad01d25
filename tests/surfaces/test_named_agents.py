"""The header X-Repomesh-Agent: what is no agent's name is refused, wherever the header is taken."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh
from tooling import ask

pytestmark = pytest.mark.anyio
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"])

MALFORMED = (b"a b", b"-a", b"\xe4", b"a" * 65, b"a,b", b"!")
PLACES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/v1/agents", None),
    ("POST", "/v1/messages", {"to": ["*"], "body": "hello"}),
    ("POST", "/v1/hooks/claude/Stop", {"session_id": "s1"}),
    ("GET", "/v1/stream", None),
    ("POST", "/v1/webhook", {}),
)


@on_sqlite
@pytest.mark.parametrize(("method", "path", "body"), PLACES)
@pytest.mark.parametrize("name", MALFORMED)
async def test_what_is_no_agents_name_is_refused(
    mesh: Mesh, method: str, path: str, body: dict[str, Any] | None, name: bytes
) -> None:
    answer = await mesh.request(method, path, json=body, headers={"X-Repomesh-Agent": name})
    assert answer.status_code == 422, answer.text
    assert "X-Repomesh-Agent" in answer.text


@on_sqlite
async def test_two_names_are_refused(mesh: Mesh) -> None:
    headers = [
        ("Authorization", f"Bearer {mesh.token}"),
        ("X-Repomesh-Agent", "a"),
        ("X-Repomesh-Agent", "b"),
    ]
    answer = await mesh.http.get("/v1/agents", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "X-Repomesh-Agent")


@on_sqlite
async def test_an_empty_header_names_nobody(mesh: Mesh) -> None:
    answer = await mesh.request("GET", "/v1/agents", headers={"X-Repomesh-Agent": ""})
    assert answer.status_code == 200


@on_sqlite
async def test_mcp_refuses_it_with_every_method(mesh: Mesh) -> None:
    for method in ("tools/list", "ping"):
        answer = await ask(mesh, method, headers={"X-Repomesh-Agent": "a b"})
        assert answer.status_code == 422, answer.text
        assert "X-Repomesh-Agent" in answer.text
