"""An agent gets another name: what it holds bears that one, and its former names go on leading to it."""

from __future__ import annotations

import asyncio

import pytest

from harness import Mesh, Refused
from repomesh.kernel import limits
from talking import bodies, say

pytestmark = pytest.mark.anyio


async def refused(work: object) -> str:
    with pytest.raises(Refused) as raised:
        await work  # type: ignore[misc]
    return raised.value.code


async def test_what_it_holds_and_what_waits_for_it_bears_the_new_name(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/locks/acquire", resources=["src/a.py"])
    task = await bob.post("/v1/tasks", goal="look", agent="alice")
    over = await bob.post("/v1/tasks", goal="before")
    claim = await alice.post(f"/v1/tasks/{over['id']}/claim")
    await alice.post(f"/v1/tasks/{over['id']}/complete", fencing_token=claim["fencing_token"])
    sent = await say(alice, "bob", body="hello")
    renamed = await alice.post("/v1/agents/alice/rename", name="Carol")
    assert (renamed["id"], renamed["name"]) == (alice.id, "Carol")
    assert [lock["agent_name"] for lock in (await bob.get("/v1/locks"))["items"]] == ["Carol"]
    assert (await bob.get(f"/v1/tasks/{task['id']}"))["assignee_name"] == "Carol"
    assert (await bob.get(f"/v1/tasks/{over['id']}"))["agent_name"] == "alice"
    assert (await bob.get(f"/v1/messages/{sent['id']}"))["sender_name"] == "alice"
    answer = await say(alice, "bob", body="again")
    assert (await bob.get(f"/v1/messages/{answer['id']}"))["sender_name"] == "Carol"


async def test_former_names_lead_to_it(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/agents/alice/rename", name="carol")
    for name in ("alice", "ALICE", "carol"):
        assert (await bob.get(f"/v1/agents/{name}"))["id"] == alice.id
    sent = await say(bob, "Alice", body="to the former name")
    assert sent["to"] == ["carol"]
    await say(bob, "alice", "carol", body="to both")
    assert sorted(await bodies(alice)) == ["to both", "to the former name"]
    await mesh.post("/v1/messages", {"X-Repomesh-Agent": "alice"}, to=["bob"], body="by the header")
    assert (await mesh.get("/v1/messages", sender="alice"))["items"][0]["sender_name"] == "carol"
    again = await mesh.agent("alice", force=True)
    assert again.registration is not None
    assert (again.id, again.registration["agent"]["name"]) == (alice.id, "carol")


async def test_what_it_waits_for_is_granted_under_its_new_name(mesh: Mesh) -> None:
    """Also to a call that began under the former name."""
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/locks/acquire", resources=["src/a.py"])
    waiting = asyncio.create_task(bob.post("/v1/locks/acquire", resources=["src/a.py"], wait_s=30.0))
    while not await mesh.events(type="lock.wait_started"):  # noqa: ASYNC110
        await asyncio.sleep(0)
    await bob.post("/v1/agents/bob/rename", name="carol")
    await alice.post("/v1/locks/release", resources=["src/a.py"])
    await waiting
    assert [lock["agent_name"] for lock in (await alice.get("/v1/locks"))["items"]] == ["carol"]


async def test_an_agent_shows_its_former_names(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for name in ("Alice", "carol", "dora", "carol"):
        await alice.post(f"/v1/agents/{alice.id}/rename", name=name)
    shown = await mesh.get("/v1/agents/dora")
    assert (shown["name"], shown["former_names"]) == ("carol", ["Alice", "dora"])


async def test_nobody_else_takes_a_present_or_a_former_name(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    await alice.post("/v1/agents/alice/rename", name="carol")
    for name in ("alice", "ALICE", "carol", "Carol"):
        assert await refused(bob.post("/v1/agents/bob/rename", name=name)) == "agent_name_taken", name
    assert await refused(bob.post("/v1/agents/bob/rename", name="Repomesh")) == "agent_name_reserved"
    for name in ("owner", "OWNER", "webhook", "Human", "system"):  # for whom messages to them are meant
        assert await refused(bob.post("/v1/agents/bob/rename", name=name)) == "agent_name_reserved", name
    assert await refused(bob.post("/v1/agents/carol/rename", name="dora")) == "not_your_agent"
    assert (await mesh.post("/v1/agents/bob/rename", name="owner"))["name"] == "owner"
    made = await mesh.post("/v1/agents/register", program="alice")
    assert made["agent"]["name"] == "alice-2"
    assert (await mesh.post("/v1/agents/bob/rename", name="ben"))["name"] == "ben"  # by the owner


async def test_it_can_have_a_former_name_again_and_the_same_in_another_case(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for name in ("Alice", "carol", "alice", "carol", "carol"):
        assert (await alice.post("/v1/agents/ALICE/rename", name=name))["name"] == name
    assert (await mesh.get("/v1/agents/alice"))["name"] == "carol"
    renamings = (await mesh.get("/v1/events", type="agent.renamed"))["items"]
    assert [event["data"]["former_name"] for event in renamings] == ["alice", "Alice", "carol", "alice"]


async def test_the_number_of_former_names_is_bounded(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    for number in range(limits.FORMER_NAMES_MAX):
        await alice.post("/v1/agents/alice/rename", name=f"alice-{number}")
    assert await refused(alice.post("/v1/agents/alice/rename", name="zoe")) == "too_many_former_names"
    assert (await alice.post("/v1/agents/alice/rename", name="alice-1"))["name"] == "alice-1"


async def test_texts_are_found_under_the_name_of_their_time(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await alice.post("/v1/memories", key="before", content="We take SQLite.")
    await alice.post("/v1/agents/alice/rename", name="carol")
    await alice.post("/v1/memories", key="after", content="We keep SQLite.")
    for author, key in (("alice", "before"), ("ALICE", "before"), ("Carol", "after")):
        found = await mesh.get("/v1/search", text="sqlite", author=author)
        assert [item["key"] for item in found["items"]] == [key], author
