"""Names that differ in nothing but case are one agent's."""

from __future__ import annotations

import pytest

from harness import Mesh, Refused
from talking import bodies, say

pytestmark = pytest.mark.anyio


async def test_registering_a_variant_is_registering_the_agent(mesh: Mesh) -> None:
    first = await mesh.agent("bluelake")
    with pytest.raises(Refused) as refused:
        await mesh.agent("Bluelake")
    assert refused.value.code == "agent_active_elsewhere"
    again = await mesh.agent("BLUELAKE", force=True)
    assert again.registration is not None
    assert (again.id, again.registration["agent"]["name"]) == (first.id, "bluelake")
    assert (await mesh.get("/v1/agents/BlueLake"))["id"] == first.id


async def test_a_message_to_variants_reaches_the_agent(mesh: Mesh) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "Bob", "carol")]
    sent = await say(alice, "bOB", body="single")
    assert sent["to"] == ["Bob"]
    await say(alice, "bob", "CAROL", body="several")
    assert sorted(await bodies(bob)) == ["several", "single"]
    assert await bodies(carol) == ["several"]


async def test_a_header_acts_as_the_agent_by_a_variant(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    by_owner = mesh.server.authenticate
    owner = await by_owner(f"Bearer {mesh.token}", "ALICE")
    assert (owner.agent_id, owner.agent_name) == (alice.id, "alice")
    assert bob.registration is not None
    own = await by_owner(f"Bearer {bob.registration['token']}", "Bob")
    assert own.agent_id == bob.id


async def test_a_task_is_assigned_to_a_variant(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    bob = await mesh.agent("bob")
    task = await alice.post("/v1/tasks", goal="look", agent="BOB")
    await bob.post(f"/v1/tasks/{task['id']}/claim")
    held = (await alice.get("/v1/tasks?agent=Bob"))["items"]
    assert [one["id"] for one in held] == [task["id"]]


async def test_the_header_over_http_acts_as_the_agent_by_a_variant(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("Bob")
    sent = await mesh.post("/v1/messages", {"X-Repomesh-Agent": "ALICE"}, to=["Bob"], body="by the owner")
    assert (await mesh.get(f"/v1/messages/{sent['id']}"))["sender_id"] == alice.id
    assert (await bob.request("GET", "/v1/inbox", headers={"X-Repomesh-Agent": "bOB"})).status_code == 200
    other = await bob.request("GET", "/v1/inbox", headers={"X-Repomesh-Agent": "Alice"})
    assert (other.status_code, other.json()["code"]) == (403, "forbidden")


async def test_agents_are_listed_by_a_variant_of_how_their_names_begin(mesh: Mesh) -> None:
    for name in ("BlueLake", "bluebird", "blu", "red"):
        await mesh.agent(name)
    found = (await mesh.get("/v1/agents", name_prefix="bLUE"))["items"]
    assert sorted(agent["name"] for agent in found) == ["BlueLake", "bluebird"]


async def test_a_search_for_an_author_takes_a_variant(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("Alice"), await mesh.agent("bob")
    await say(alice, "bob", body="the parser is ready")
    await say(bob, "Alice", body="the parser is slow")
    found = (await mesh.get("/v1/search", text="parser", author="aLICE"))["items"]
    assert [one["author"] for one in found] == ["Alice"]


async def test_a_variant_is_a_reviewer_once(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("Bob")
    review = await alice.post(
        "/v1/reviews", title="t", commit_range="main..x", reviewers=["bob", "BOB"], files=["a.py"]
    )
    assert [one["agent_name"] for one in review["reviewers"]] == ["Bob"]
    assert [one["id"] for one in (await bob.get("/v1/reviews", reviewer="bOb"))["items"]] == [review["id"]]


async def test_a_variant_takes_part_in_a_meeting_once(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("Bob")
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/meetings", topic="Names", participant_ids=["bob", "BOB"])
    assert refused.value.code == "duplicate_participant"
    named = {"topic": "Names", "participant_ids": ["alice", "bob"], "chair": "ALICE"}
    meeting = await alice.post("/v1/meetings", **named)
    assert sorted(one["agent_name"] for one in meeting["participants"]) == ["Bob", "alice"]
    found = (await bob.get("/v1/meetings", participant="bOb"))["items"]
    assert [one["id"] for one in found] == [meeting["id"]]


async def test_a_session_has_an_agent_once_and_is_found_by_a_variant(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    made = await alice.post(
        "/v1/sessions", session_id="plan", participants=["ALICE", "Alice", "Gemini", "gemini"]
    )
    assert made["participants"] == ["alice", "Gemini", "gemini"], "who is no agent stays as written"
    for name, there in (("Alice", True), ("alice", True), ("Gemini", True), ("GEMINI", False)):
        found = (await mesh.get("/v1/sessions", participant=name))["items"]
        assert [one["id"] for one in found] == (["plan"] if there else []), name
    changed = await alice.patch("/v1/sessions/plan", participants=["aLICE"])
    assert changed["participants"] == ["alice"]
