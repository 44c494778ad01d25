"""Decisions: what they keep, who may set them aside, and where they are found."""

from __future__ import annotations

from typing import Any

import pytest

from domains.meetings.meeting import called, say, show, vote
from harness import Mesh, Refused, Speaker
from repomesh.kernel.limits import MAX_CHARS_MIN

pytestmark = pytest.mark.anyio


async def decided(mesh: Mesh, *members: Speaker, topic: str = "Which parser?", **fields: Any) -> Any:
    """The decision of a meeting in which all agreed to what the first proposed."""
    meeting = await called(mesh, *members, topic=topic, **fields)
    await say(members[0], meeting, "It is well kept.", proposal=f"Take lark for {topic}")
    for member in members[1:]:
        await say(member, meeting)
    for member in members:
        await vote(member, meeting, reason="Yes.")
    return (await show(mesh, meeting))["decision"]


async def refused(awaitable: Any, code: str) -> None:
    with pytest.raises(Refused) as error:
        await awaitable
    assert error.value.code == code


async def record(speaker: Speaker, topic: str = "Port", **fields: Any) -> Any:
    return await speaker.post("/v1/decisions", topic=topic, **{"decision": "8787.", **fields})


async def test_a_meetings_decision_holds_what_it_concerns(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    task = await ann.post("/v1/tasks", goal="Parse")
    message = await ann.post("/v1/messages", to=["ben"], body="Which one?")
    related = {"related_task_ids": [task["id"]], "related_message_ids": [message["id"]]}
    meeting = await called(ann, ann, ben, **related)
    tasks = [{"goal": "Add lark", "agent": "ben"}, {"goal": "Drop the old one"}]
    await say(ann, meeting, "Lark is well kept.", proposal="Take lark.", tasks=tasks)
    await say(ben, meeting)
    await vote(ann, meeting)
    await vote(ben, meeting, reason="Fine.")
    decision = (await show(mesh, meeting))["decision"]
    whole = await ben.get(f"/v1/decisions/{decision['id']}")
    assert whole["rationale"] == "ann: Lark is well kept.\n\nben: Fine."
    assert [one["goal"] for one in whole["related_tasks"]] == ["Parse"]
    assert [one["body"] for one in whole["related_messages"]] == ["Which one?"]
    assert [(one["goal"], one["assignee_name"]) for one in whole["tasks"]] == [
        ("Add lark", "ben"),
        ("Drop the old one", None),
    ]
    eve = await mesh.agent("eve")
    seen = await eve.get(f"/v1/decisions/{decision['id']}")
    assert seen["related_messages"] == [], "a direct message stays between those two"
    short = await ben.get(f"/v1/decisions/{decision['id']}", max_chars=2_000)
    assert (short["related_tasks"], short["decision"]) == ([], "Take lark.")
    assert short["omitted"]


async def test_tasks_that_can_not_be_made_are_refused_when_they_are_proposed(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(ann, ann, ben)
    tasks = [{"goal": "Add lark", "agent": "nobody"}]
    await refused(say(ann, meeting, proposal="Take lark.", tasks=tasks), "agent_not_found")
    assert (await show(mesh, meeting))["speaker_name"] == "ann"


async def test_people_record_decisions_and_agents_do_not(mesh: Mesh) -> None:
    ann, jane = await mesh.agent("ann"), await mesh.agent("jane", type="human")
    mine = await record(jane, tasks=[{"goal": "Write it down"}])
    assert (mine["recorded_by"], mine["meeting_id"], len(mine["task_ids"])) == ("jane", None, 1)
    assert (await record(mesh))["recorded_by"] is None
    await refused(record(ann), "only_people")
    await refused(ann.post(f"/v1/decisions/{mine['id']}/overrule", reason="no"), "only_people")
    await refused(mesh.post(f"/v1/decisions/{mine['id']}/overrule"), "invalid_request")
    gone = await jane.post(f"/v1/decisions/{mine['id']}/overrule", reason="The port is taken.")
    assert (gone["status"], gone["overruled_by"], gone["reason"]) == (
        "overruled",
        "jane",
        "The port is taken.",
    )
    await refused(mesh.post(f"/v1/decisions/{mine['id']}/overrule", reason="again"), "decision_status")


async def test_a_later_decision_holds_instead_and_both_say_so(mesh: Mesh) -> None:
    first, second = await record(mesh, "One"), await record(mesh, "Two")
    path = f"/v1/decisions/{first['id']}/supersede"
    await refused(
        mesh.post(f"/v1/decisions/{second['id']}/supersede", by=first["id"], reason="r"),
        "not_a_later_decision",
    )
    stale = mesh.post(path, headers={"If-Match": '"7"'}, by=second["id"], reason="r")
    await refused(stale, "stale_version")
    done = await mesh.post(path, by=second["id"], reason="It says more.")
    assert (done["status"], done["superseded_by_id"]) == ("superseded", second["id"])
    await refused(mesh.post(path, by=second["id"], reason="r"), "decision_status")
    third = await record(mesh, "Three", supersedes=second["id"])
    assert third["supersedes_id"] == second["id"]
    assert (await mesh.get(f"/v1/decisions/{second['id']}"))["superseded_by_id"] == third["id"]
    await refused(record(mesh, "Four", supersedes=second["id"]), "decision_status")


async def test_a_meeting_supersedes_what_it_was_called_for(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    old = await record(mesh)
    new = await decided(mesh, ann, ben, supersedes=old["id"])
    assert new["supersedes_id"] == old["id"]
    assert (await mesh.get(f"/v1/decisions/{old['id']}"))["status"] == "superseded"


async def test_decisions_are_listed_by_what_is_known_of_them(mesh: Mesh) -> None:
    ann, ben, cat = [await mesh.agent(name) for name in ("ann", "ben", "cat")]
    lark = await decided(mesh, ann, ben, topic="Parsing 100% of it")
    port = await record(mesh, rationale="Nobody else listens there.")
    mesh.clock.advance(60)
    late = await record(mesh, "Late")
    await mesh.post(f"/v1/decisions/{late['id']}/overrule", reason="no")

    async def ids(**params: Any) -> list[str]:
        return [one["id"] for one in (await mesh.get("/v1/decisions", **params))["items"]]

    assert await ids() == [late["id"], port["id"], lark["id"]]
    assert await ids(status="active") == [port["id"], lark["id"]]
    assert await ids(meeting_id=lark["meeting_id"]) == [lark["id"]]
    assert await ids(topic="100% OF") == [lark["id"]]
    assert await ids(participant="ben") == [lark["id"]]
    assert await ids(participant="cat") == []
    assert await ids(text="nobody listens") == [port["id"]]
    assert await ids(text="nobody listens", status="overruled") == []
    assert await ids(since=late["created_at"]) == [late["id"]]
    assert await ids(until=late["created_at"], limit=1) == [port["id"]]
    first = await mesh.get("/v1/decisions", limit=2)
    assert await ids(cursor=first["next_cursor"]) == [lark["id"]]
    assert await ids(max_chars=MAX_CHARS_MIN) == []
    del cat


async def test_those_in_force_are_found_and_stand_in_every_briefing(mesh: Mesh) -> None:
    ann = await mesh.agent("ann")
    kept = await record(mesh, "Which port", decision="We listen on 8787.")
    gone = await record(mesh, "Which old port", decision="We listen on 80.")
    await mesh.post(f"/v1/decisions/{gone['id']}/overrule", reason="It needs root.")
    found = (await ann.get("/v1/search", text="listen port"))["items"]
    assert [(one["what"], one["id"], one["title"]) for one in found] == [
        ("decision", kept["id"], "Which port")
    ]
    recalled = (await ann.get("/v1/search", text="listen", what="decision"))["items"]
    assert [one["id"] for one in recalled] == [kept["id"]]
    briefing = (await ann.get("/v1/briefing"))["text"]
    assert "Which port: We listen on 8787." in briefing
    assert "Which old port" not in briefing
