"""Agents join, are found, go silent, are replaced and leave."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused

pytestmark = pytest.mark.anyio


async def test_the_same_name_is_the_same_agent(mesh: Mesh) -> None:
    first = await mesh.agent("alice", instance_id="one", model="m1")
    await first.post(f"/v1/agents/{first.id}/leave")
    second = await mesh.agent("alice", instance_id="two", capabilities=["python"])
    assert second.id == first.id
    assert second.registration is not None
    assert second.registration["agent"]["model"] == "m1"
    assert second.registration["agent"]["capabilities"] == ["python"]


async def test_a_live_instance_is_replaced_only_by_force(mesh: Mesh) -> None:
    first = await mesh.agent("alice", instance_id="one")
    with pytest.raises(Refused) as refused:
        await mesh.agent("alice", instance_id="two")
    assert refused.value.code == "agent_active_elsewhere"
    second = await mesh.agent("alice", instance_id="two", force=True)
    assert second.registration is not None
    assert second.registration["took_over"] is True
    with pytest.raises(Refused) as zombie:
        await first.get("/v1/agents")
    assert zombie.value.status == 401
    assert (await second.get("/v1/agents/alice"))["status"] == "active"


async def test_a_silent_instance_is_taken_over_unless_that_is_not_wanted(mesh: Mesh) -> None:
    await mesh.agent("alice", instance_id="one")
    mesh.clock.advance(91)
    with pytest.raises(Refused) as refused:
        await mesh.agent("alice", instance_id="two", takeover_if_stale=False)
    assert refused.value.code == "agent_stale"
    second = await mesh.agent("alice", instance_id="two")
    assert second.registration is not None
    assert second.registration["took_over"] is True


async def test_a_name_that_is_taken_is_refused_when_it_may_not_be_reused(mesh: Mesh) -> None:
    await mesh.agent("alice")
    with pytest.raises(Refused) as refused:
        await mesh.agent("alice", reuse_existing=False)
    assert refused.value.code == "agent_name_taken"


async def test_without_a_name_a_free_one_is_made_from_the_program(mesh: Mesh) -> None:
    names = [
        (await mesh.post("/v1/agents/register", program="Claude Code"))["agent"]["name"] for _ in range(2)
    ]
    assert names == ["claude-code", "claude-code-2"]


async def test_silence_makes_inactive_and_a_sign_of_life_active_again(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    mesh.clock.advance(91)
    await mesh.sweep()
    assert (await mesh.get("/v1/agents/alice"))["status"] == "inactive"
    await alice.post(f"/v1/agents/{alice.id}/heartbeat")
    assert (await mesh.get("/v1/agents/alice"))["status"] == "active"


async def test_agents_are_found_by_name_type_status_and_capability(mesh: Mesh) -> None:
    await mesh.agent("alice", capabilities=["python", "sql"])
    await mesh.agent("albert", type="human")
    await mesh.agent("bob", capabilities=["sql_server", 'the "odd" \\ one'])

    async def names(**criteria: str) -> list[str]:
        return [agent["name"] for agent in (await mesh.get("/v1/agents", **criteria))["items"]]

    assert await names(name_prefix="al") == ["albert", "alice"]
    assert await names(type="human") == ["albert"]
    assert await names(capability="sql") == ["alice"]
    assert await names(capability='the "odd" \\ one') == ["bob"]
    assert await names(status="inactive") == []


@pytest.mark.parametrize("type_", ["human", "Human", "HUMAN ", "\N{FULLWIDTH LATIN SMALL LETTER H}uman"])
async def test_what_reads_as_a_person_is_one_and_made_by_the_owner_alone(mesh: Mesh, type_: str) -> None:
    alice = await mesh.agent("alice")
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/agents/register", name="alice", type=type_)
    assert refused.value.code == "person_reserved"
    assert (await mesh.post("/v1/agents/register", name="pat", type=type_))["agent"]["type"] == "human"


async def test_pages_are_complete_and_do_not_overlap(mesh: Mesh) -> None:
    for number in range(7):
        await mesh.agent(f"agent-{number}")
    names, cursor = [], None
    while True:
        page = await mesh.get("/v1/agents", limit=3, **({"cursor": cursor} if cursor else {}))
        names += [agent["name"] for agent in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == [f"agent-{number}" for number in range(7)]


async def test_a_retired_agent_loses_its_tokens_and_may_come_back(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    assert (await mesh.post("/v1/agents/alice/retire"))["status"] == "retired"
    with pytest.raises(Refused) as refused:
        await alice.get("/v1/agents")
    assert refused.value.status == 401
    again = await mesh.agent("alice")
    assert again.id == alice.id


async def test_an_agents_token_registers_only_its_own_agent(mesh: Mesh) -> None:
    made = await mesh.post("/v1/tokens", role="agent", agent="alice")
    alice = type(mesh.anonymous())(mesh.http, made["token"])
    assert (await alice.post("/v1/agents/register"))["agent"]["name"] == "alice"
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/agents/register", name="bob")
    assert refused.value.code == "not_your_agent"


async def test_a_replayed_registration_answers_the_same_agent_with_a_working_token(mesh: Mesh) -> None:
    key = {"Idempotency-Key": "once"}
    first = await mesh.post("/v1/agents/register", headers=key, name="alice")
    second = await mesh.post("/v1/agents/register", headers=key, name="alice")
    assert {**first, "token": ""} == {**second, "token": ""}
    alice = type(mesh.anonymous())(mesh.http, second["token"])
    assert (await alice.get("/v1/agents/alice"))["id"] == first["agent"]["id"]
    with pytest.raises(Refused) as refused:
        await mesh.post("/v1/agents/register", headers=key, name="bob")
    assert refused.value.code == "idempotency_conflict"


@pytest.mark.settings(agent_inactive_after_s=1.0)
async def test_any_call_is_a_sign_of_life(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    mesh.clock.advance(10)
    await mesh.sweep()
    assert (await mesh.get("/v1/agents/alice"))["status"] == "inactive"
    await alice.get("/v1/workspace")
    await mesh.server.implicit_heartbeats.stop()
    assert (await mesh.get("/v1/agents/alice"))["status"] == "active"


async def test_a_retired_agent_does_not_act(mesh: Mesh) -> None:
    await mesh.agent("alice")
    await mesh.post("/v1/agents/alice/retire")
    answer = await mesh.request("GET", "/v1/agents", headers={"X-Repomesh-Agent": "alice"})
    assert (answer.status_code, answer.json()["code"]) == (403, "agent_retired")


async def test_an_instance_that_registers_again_keeps_its_token_and_may_correct_itself(mesh: Mesh) -> None:
    alice = await mesh.agent("alice", model="m1")
    again = await alice.post("/v1/agents/register", model="m2", headers={"Idempotency-Key": "once"})
    assert (again["agent"]["id"], again["agent"]["model"]) == (alice.id, "m2")
    assert (again["token"], again["took_over"]) == ("", False)
    await alice.post("/v1/agents/register", model="m2", headers={"Idempotency-Key": "once"})
    assert (await alice.get("/v1/agents/alice"))["model"] == "m2"


async def test_the_owner_acting_as_an_agent_registers_that_agent(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await alice.post(f"/v1/agents/{alice.id}/leave")
    made = await mesh.post("/v1/agents/register", headers={"X-Repomesh-Agent": "alice"})
    assert made["agent"]["id"] == alice.id


async def test_who_was_replaced_is_told_so(mesh: Mesh) -> None:
    first = await mesh.agent("alice")
    await mesh.agent("alice", force=True)
    with pytest.raises(Refused) as replaced:
        await first.get("/v1/agents")
    assert (replaced.value.status, replaced.value.code) == (401, "instance_replaced")
    bob = await mesh.agent("bob")
    assert bob.registration is not None
    await mesh.delete(f"/v1/tokens/{bob.registration['token_id']}")
    with pytest.raises(Refused) as revoked:
        await bob.get("/v1/agents")
    assert (revoked.value.status, revoked.value.code) == (401, "token_revoked")


async def test_no_agent_bears_the_servers_name(mesh: Mesh) -> None:
    for body in ({"name": "Repomesh"}, {"name": "repomesh"}):
        with pytest.raises(Refused) as refused:
            await mesh.post("/v1/agents/register", **body)
        assert refused.value.code == "agent_name_reserved"
    assert (await mesh.post("/v1/agents/register", program="repomesh"))["agent"]["name"] == "repomesh-2"
