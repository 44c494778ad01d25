"""One server, several workspaces, each a world of its own."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused, Speaker

pytestmark = pytest.mark.anyio


async def test_a_new_workspace_is_a_world_of_its_own(mesh: Mesh) -> None:
    await mesh.agent("alice")
    made = await mesh.post("/v1/workspaces", name="other", path="/srv/other")
    other = Speaker(mesh.http, made["token"])
    assert (await other.get("/v1/workspace"))["name"] == "other"
    assert (await other.get("/v1/agents"))["items"] == []
    assert (await other.post("/v1/agents/register", name="alice"))["agent"]["name"] == "alice"
    assert [event["seq"] for event in (await other.get("/v1/events"))["items"]] == [1, 2]


async def test_only_the_home_workspaces_owner_administers_the_server(mesh: Mesh) -> None:
    made = await mesh.post("/v1/workspaces", name="other")
    with pytest.raises(Refused) as refused:
        await Speaker(mesh.http, made["token"]).get("/v1/workspaces")
    assert refused.value.status == 403


async def test_a_name_is_taken_until_its_workspace_is_removed(mesh: Mesh) -> None:
    made = await mesh.post("/v1/workspaces", name="other")
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/workspaces", name="other")
    assert refused.value.code == "workspace_name_taken"
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/workspaces", name="OTHER")
    assert "'other'" in str(refused.value), "a variant is the same name, and the taken one is named"
    await mesh.delete(f"/v1/workspaces/{made['workspace']['id']}")
    assert (await mesh.post("/v1/workspaces", name="other"))["workspace"]["name"] == "other"


async def test_removing_a_workspace_closes_it_at_once_and_to_the_end(mesh: Mesh) -> None:
    made = await mesh.post("/v1/workspaces", name="other")
    other = Speaker(mesh.http, made["token"])
    await other.get("/v1/workspace")
    await mesh.delete(f"/v1/workspaces/{made['workspace']['id']}")
    with pytest.raises(Refused) as refused:
        await other.get("/v1/workspace")
    assert refused.value.status == 401
    await mesh.sweep()
    assert [item["name"] for item in (await mesh.get("/v1/workspaces"))["items"]] == ["test"]


async def test_the_home_workspace_stays(mesh: Mesh) -> None:
    home = await mesh.get("/v1/workspace")
    with pytest.raises(Refused) as refused:
        await mesh.delete(f"/v1/workspaces/{home['id']}")
    assert refused.value.code == "home_workspace"
