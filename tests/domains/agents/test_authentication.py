"""Who a request speaks for, and how long that is believed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness import Mesh, Refused
from repomesh.kernel.errors import Unauthenticated

pytestmark = pytest.mark.anyio


async def test_a_look_up_that_a_revocation_overtook_is_not_believed(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = await mesh.observer()
    authenticate = mesh.server.authenticate
    found, released = asyncio.Event(), asyncio.Event()
    read = mesh.server.store.read

    async def slow(*arguments: Any) -> Any:
        answer = await read(*arguments)
        found.set()
        await released.wait()
        return answer

    monkeypatch.setattr(mesh.server.store, "read", slow)
    asking = asyncio.create_task(authenticate(f"Bearer {observer.token}"))
    await found.wait()
    monkeypatch.setattr(mesh.server.store, "read", read)
    tokens = (await mesh.get("/v1/tokens"))["items"]
    mine = next(token["id"] for token in tokens if token["role"] == "observer")
    await mesh.delete(f"/v1/tokens/{mine}")
    released.set()
    await asking
    with pytest.raises(Unauthenticated):
        await authenticate(f"Bearer {observer.token}")


async def test_only_a_bearer_token_opens_anything(mesh: Mesh) -> None:
    for authorization in ("", "Bearer", "Bearer ", f"Basic {mesh.token}", str(mesh.token), "Bearer x"):
        answer = await mesh.http.get("/v1/agents", headers={"Authorization": authorization})
        assert answer.status_code == 401, authorization
    for authorization in (f"bearer {mesh.token}", f"Bearer  {mesh.token} "):
        answer = await mesh.http.get("/v1/agents", headers={"Authorization": authorization})
        assert answer.status_code == 200, authorization


async def test_an_agent_is_named_by_its_name_or_id_and_nothing_else(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    path = "/v1/agents/alice/heartbeat"
    for name in ("alice", alice.id):
        answer = await mesh.request("POST", path, headers={"X-Repomesh-Agent": name})
        assert answer.status_code == 200
    for name in ("nobody", "Alice", "al%", "a" * 65, "' OR 1=1"):
        answer = await mesh.request("POST", path, headers={"X-Repomesh-Agent": name})
        assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found"), name
    with pytest.raises(Refused) as refused:
        await alice.post(path, headers={"X-Repomesh-Agent": "bob"})
    assert refused.value.status == 403
