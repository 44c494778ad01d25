"""Meetings over HTTP: called, discussed in turn, voted on, decided, and written down."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from domains.meetings.meeting import called, inbox, request, say, show, types, vote
from harness import Mesh, Refused, Speaker
from repomesh.kernel.limits import MAX_CHARS_MIN

pytestmark = pytest.mark.anyio


async def team(mesh: Mesh, *names: str) -> list[Speaker]:
    return [await mesh.agent(name) for name in names]


async def refused(awaitable: Any, code: str) -> Refused:
    with pytest.raises(Refused) as error:
        await awaitable
    assert error.value.code == code, error.value
    return error.value


async def test_two_rounds_end_in_a_decision_with_one_dissent(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, consensus="two_thirds", topic="  Which parser?\nOurs? ")
    assert (meeting["speaker_name"], meeting["round"], meeting["phase"]) == ("ann", 1, "discussion")
    await say(ann, meeting, "Write our own.", kind="proposal")
    await say(ben, meeting, "No: use lark.", kind="objection", proposal="Use lark.")
    await say(cat, meeting, "Lark is well kept.", kind="support")
    asked = await request(ann, meeting)
    assert (asked["type"], asked["proposal"]) == ("consensus_request", "Use lark.")
    await vote(ann, meeting, "disagree", reason="Too slow.", amendment="Only for tests.")
    await vote(ben, meeting, "agree")
    second = await vote(cat, meeting, "disagree", reason="Let us measure first.")
    assert (second["round"], second["speaker_name"]) == (2, "ann"), "the dissent speaks first"
    told = (await inbox(ann))[0]
    assert "Too slow." in told["body"]
    assert "would change: Only for tests." in told["body"]
    await say(ann, second, "Lark, if it parses 1 MB/s.", kind="proposal")
    assert (await show(mesh, meeting))["speaker_name"] == "cat", "then the other who dissented"
    await say(cat, second)
    await say(ben, second)
    await vote(ann, second, "agree", reason="It is measured.")
    await vote(cat, second, "agree")
    ended = await vote(ben, second, "disagree", reason="It was good as it was.")
    assert (ended["status"], ended["outcome"], ended["speaker_id"]) == ("completed", "consensus", None)
    whole = await show(mesh, meeting)
    assert whole["topic"] == "  Which parser?\nOurs? "
    assert [len(one["opinions"]) for one in whole["rounds"]] == [3, 3]
    assert [one["sequence"] for one in whole["rounds"][1]["opinions"]] == [4, 5, 6]
    decision = whole["decision"]
    assert decision["decision"] == "Lark, if it parses 1 MB/s."
    assert [one["agent_name"] for one in decision["agreement"]] == ["ann", "cat"]
    assert [(one["agent_name"], one["reason"]) for one in decision["dissent"]] == [
        ("ben", "It was good as it was.")
    ]
    assert await types(mesh, meeting) == [
        "meeting.created",
        "meeting.started",
        *["meeting.opinion_requested", "meeting.opinion_presented"] * 3,
        "meeting.vote_requested",
        *["meeting.vote_cast"] * 3,
        "meeting.round_completed",
        *["meeting.opinion_requested", "meeting.opinion_presented"] * 3,
        "meeting.vote_requested",
        *["meeting.vote_cast"] * 3,
        "meeting.round_completed",
        "meeting.consensus_reached",
        "decision.recorded",
        "meeting.completed",
    ]


async def test_each_request_is_a_message_that_the_answer_acknowledges(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    meeting = await called(ann, ann, ben, agenda=["Speed", "Care"])
    await say(ann, meeting, "word " * 3_000)
    [asked] = await inbox(ben)
    assert asked["ack_required"]
    assert asked["tags"] == ["meeting", "opinion_request"]
    assert "Speed; Care" in asked["body"]
    assert 5_000 < len(asked["body"]) <= 6_000, "ann's opinion is cut to what ben takes"
    assert (await request(ben, meeting))["message_id"] == asked["id"]
    await say(ben, meeting)
    newest, first = await inbox(ben)
    assert first["status"] == "acked"
    assert newest["tags"] == ["meeting", "consensus_request"]
    assert newest["thread_id"] == first["thread_id"]
    await vote(ben, meeting)
    await vote(ann, meeting)
    end = (await inbox(ben, unread=True))[0]
    assert end["subject"] == "Decided: Which parser?"


async def test_a_participant_says_how_much_it_takes(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    made = await mesh.post("/v1/meetings", topic="Size", participant_ids=["ann"])
    await ben.post(f"/v1/meetings/{made['id']}/join", max_chars=1_000)
    await ann.post(f"/v1/meetings/{made['id']}/start")
    await say(ann, made, "word " * 3_000)
    assert len((await inbox(ben))[0]["body"]) <= 1_000
    assert len((await request(ben, made))["opinions"][0]["content"]) <= 1_000


async def test_deadlines_go_on_without_who_is_silent(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, opinion_timeout_s=10.0, vote_timeout_s=10.0)
    mesh.clock.advance(11)
    late = await refused(say(ann, meeting), "turn_over")
    assert late.problem["happened"] == "no_response"
    await mesh.sweep()
    now = await show(mesh, meeting)
    assert now["speaker_name"] == "ben"
    [silence] = now["rounds"][0]["opinions"]
    assert (silence["content"], silence["kind"]) == ("[No response - timeout]", "no_response")
    late = await refused(say(ann, meeting), "turn_over")
    assert (late.status, late.problem["happened"]) == (409, "no_response")
    await say(ben, meeting, "Alone, then.", kind="proposal")
    await say(cat, meeting)
    await vote(ben, meeting, "agree")
    await vote(ann, meeting, "agree")
    mesh.clock.advance(11)
    await mesh.sweep()
    ended = await show(mesh, meeting)
    assert ended["outcome"] == "consensus"
    assert [one["agent_name"] for one in ended["decision"]["absent"]] == ["cat"]
    late = await refused(vote(cat, meeting), "meeting_status")
    assert late.problem["outcome"] == "consensus"


async def test_one_vote_of_three_carries_nothing(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, max_discussion_rounds=1, vote_timeout_s=10.0)
    for one in (ann, ben, cat):
        await say(one, meeting, kind="proposal")
    await cat.post(f"/v1/meetings/{meeting['id']}/leave")
    await vote(ann, meeting, "agree")
    mesh.clock.advance(11)
    await mesh.sweep()
    assert (await show(mesh, meeting))["outcome"] == "no_consensus"


@pytest.mark.settings(sweep_every_s=10.0, agent_inactive_after_s=5_000.0)
@pytest.mark.parametrize("first", ["a vote", "a sweep"])
async def test_an_absence_of_the_server_is_nobodys_silence(mesh: Mesh, first: str) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat)
    for one in (ann, ben, cat):
        await say(one, meeting, kind="proposal")
    due_at = datetime.fromisoformat((await request(ann, meeting))["due_at"])
    mesh.clock.advance(1_000)
    if first == "a sweep":
        await mesh.sweep()
    await vote(ann, meeting, "agree")
    moved = datetime.fromisoformat((await request(ben, meeting))["due_at"]) - due_at
    assert 990 < moved.total_seconds() < 1_010
    assert (await types(mesh, meeting)).count("meeting.deadline_moved") == 1
    asked = (await inbox(ben))[0]
    assert "consensus_request" in asked["tags"], "the request is of use as long as the vote goes on"
    await vote(ben, meeting, "agree")
    await vote(cat, meeting, "disagree")
    assert (await show(mesh, meeting))["outcome"] == "consensus"


async def test_the_sweep_repeats_nothing(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    meeting = await called(mesh, ann, ben)
    before = await types(mesh, meeting)
    for _ in range(3):
        await mesh.sweep()
    assert await types(mesh, meeting) == before
    assert len(await inbox(ann)) == 1


async def test_who_is_inactive_is_passed_over_and_comes_back(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat)
    await ann.post("/v1/agents/ann/leave")
    await mesh.sweep()
    assert (await show(mesh, meeting))["speaker_name"] == "ben"
    assert (await types(mesh, meeting))[-2:] == ["meeting.turn_skipped", "meeting.opinion_requested"]
    again = await mesh.agent("ann")
    skipped = await refused(say(again, meeting), "turn_over")
    assert skipped.problem["happened"] == "skipped"
    await again.post(f"/v1/meetings/{meeting['id']}/join")
    await say(ben, meeting)
    await say(cat, meeting)
    assert (await show(mesh, meeting))["speaker_name"] == "ann"
    await say(again, meeting)
    assert (await show(mesh, meeting))["phase"] == "voting"


async def test_people_are_not_passed_over(mesh: Mesh) -> None:
    jane, ben = await mesh.agent("jane", type="human"), await mesh.agent("ben")
    meeting = await called(mesh, jane, ben, opinion_timeout_s=1_000.0)
    mesh.clock.advance(500)
    await ben.post("/v1/agents/ben/heartbeat")
    await mesh.sweep()
    assert (await show(mesh, meeting))["speaker_name"] == "jane"


async def test_what_is_out_of_turn_or_from_outside_changes_nothing(mesh: Mesh) -> None:
    ann, ben, eve = await team(mesh, "ann", "ben", "eve")
    made = await ann.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"])
    await refused(say(ann, made), "meeting_status")
    await refused(eve.post(f"/v1/meetings/{made['id']}/start"), "not_your_meeting")
    await ben.post(f"/v1/meetings/{made['id']}/start")
    before = await show(mesh, made)
    told = await refused(say(ben, made), "not_your_turn")
    assert told.problem["speaker"] == "ann"
    await refused(say(eve, made), "not_a_participant")
    await refused(say(ann, made, round=2), "turn_over")
    await refused(vote(ann, made), "not_voting")
    await refused(request(eve, made), "not_a_participant")
    await refused(eve.post(f"/v1/meetings/{made['id']}/cancel"), "not_your_meeting")
    await refused(ann.post(f"/v1/meetings/{made['id']}/start"), "meeting_status")
    assert await show(mesh, made) == before
    await say(ann, made)
    twice = await refused(say(ann, made), "turn_over")
    assert twice.problem["happened"] == "spoke"
    await say(ben, made)
    before = await show(mesh, made)
    await refused(vote(eve, made), "not_a_participant")
    await vote(ann, made)
    await refused(vote(ann, made, "disagree"), "already_voted")
    after = await show(mesh, made)
    assert [one["choice"] for one in after["rounds"][0]["votes"]] == ["agree"]
    await vote(ben, made)
    await refused(say(ann, made), "meeting_status")
    await refused(eve.post(f"/v1/meetings/{made['id']}/join"), "meeting_status")


async def test_a_refused_call_leaves_no_meeting(mesh: Mesh) -> None:
    ann, _ben = await team(mesh, "ann", "ben")
    await mesh.agent("gone")
    await mesh.post("/v1/agents/gone/retire")
    nothing = "01900000-0000-7000-8000-000000000000"
    for fields, code in (
        ({"participant_ids": ["ann", ann.id]}, "duplicate_participant"),
        ({"participant_ids": ["ann", "nobody"]}, "agent_not_found"),
        ({"participant_ids": ["ann", "gone"]}, "agent_retired"),
        ({"participant_ids": ["ann"], "start": True}, "too_few_participants"),
        ({"consensus": "quorum"}, "quorum_missing"),
        ({"consensus": "majority", "quorum": 2}, "quorum_missing"),
        ({"template": "no-such"}, "template_not_found"),
        ({"related_message_ids": [nothing]}, "message_not_found"),
        ({"related_task_ids": [nothing]}, "task_not_found"),
        ({"supersedes": nothing}, "decision_not_found"),
        ({"topic": ""}, "invalid_request"),
    ):
        await refused(mesh.post("/v1/meetings", **{"topic": "T", **fields}), code)
    assert (await mesh.get("/v1/meetings"))["items"] == []
    assert await mesh.events(type="meeting") == []


async def test_meetings_are_listed_by_what_they_are(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    first = await mesh.post("/v1/meetings", topic="One", participant_ids=["ann"])
    second = await called(mesh, ben, cat, topic="Two", meeting_type="auto_generated")
    await mesh.post(f"/v1/meetings/{first['id']}/cancel", reason="not needed")

    async def ids(**params: Any) -> list[str]:
        return [one["id"] for one in (await mesh.get("/v1/meetings", **params))["items"]]

    assert await ids() == [second["id"], first["id"]]
    assert await ids(status="cancelled") == [first["id"]]
    assert await ids(outcome="cancelled") == [first["id"]]
    assert await ids(participant="ann") == [first["id"]]
    assert await ids(meeting_type="auto_generated") == [second["id"]]
    assert await ids(max_chars=MAX_CHARS_MIN) == []
    assert (await show(mesh, first))["reason"] == "not needed"
    del ann


async def test_joining_and_leaving(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben)
    await cat.post(f"/v1/meetings/{meeting['id']}/join")
    again = await cat.post(f"/v1/meetings/{meeting['id']}/join")
    assert [(one["agent_name"], one["status"]) for one in again["participants"]] == [
        ("ann", "invited"),
        ("ben", "invited"),
        ("cat", "joined"),
    ]
    assert (await types(mesh, meeting)).count("meeting.joined") == 1
    left = await ann.post(f"/v1/meetings/{meeting['id']}/leave")
    assert left["speaker_name"] == "ben"
    await refused(ann.post(f"/v1/meetings/{meeting['id']}/leave"), "not_a_participant")
    await say(ben, meeting)
    await say(cat, meeting)
    assert (await request(cat, meeting))["type"] == "consensus_request"


async def test_without_agreement_it_is_written_where_each_stood(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    meeting = await called(mesh, ann, ben, max_discussion_rounds=1)
    await say(ann, meeting, "Tabs.")
    await say(ben, meeting, "Spaces.")
    await vote(ann, meeting, "agree")
    ended = await vote(ben, meeting, "disagree", reason="They break diffs.")
    assert (ended["outcome"], ended["decision_id"]) == ("no_consensus", None)
    assert "- ben disagreed: They break diffs.\n  Last said: Spaces." in ended["summary"]
    assert (await types(mesh, meeting))[-3:] == [
        "meeting.round_completed",
        "meeting.no_consensus",
        "meeting.completed",
    ]
    assert (await mesh.get("/v1/decisions"))["items"] == []


async def test_a_template_gives_what_the_caller_leaves_out(mesh: Mesh) -> None:
    made = await mesh.post("/v1/meetings", topic="T", template="design-decision", max_discussion_rounds=1)
    assert (made["consensus"], made["max_discussion_rounds"]) == ("two_thirds", 1)
    assert len(made["agenda"]) == 3
    assert made["opinion_prompt"]
    plain = await mesh.post("/v1/meetings", topic="T")
    assert (plain["consensus"], plain["max_discussion_rounds"], plain["opinion_timeout_s"]) == (
        "majority",
        3,
        300.0,
    )


async def test_own_templates(mesh: Mesh) -> None:
    ann, _ = await team(mesh, "ann", "ben")
    made = await ann.post(
        "/v1/meeting-templates", name="naming", consensus="quorum", quorum=2, agenda=["Names"]
    )
    assert (made["built_in"], made["created_by"]) == (False, "ann")
    for name in ("naming", "retrospective"):
        await refused(ann.post("/v1/meeting-templates", name=name), "template_name_taken")
    await refused(ann.post("/v1/meeting-templates", name="x", consensus="quorum"), "quorum_missing")
    names = [one["name"] for one in (await ann.get("/v1/meeting-templates"))["items"]]
    assert names == [
        "design-decision",
        "code-review-dispute",
        "incident-review",
        "task-distribution",
        "retrospective",
        "naming",
    ]
    meeting = await mesh.post("/v1/meetings", topic="T", template="naming")
    assert (meeting["consensus"], meeting["quorum"]) == ("quorum", 2)
    other = await mesh.post("/v1/meetings", topic="T", template="naming", consensus="majority")
    assert other["quorum"] is None
    for name in ("Retrospective", "NAMING"):
        await refused(ann.post("/v1/meeting-templates", name=name), "template_name_taken")
        assert (await ann.get(f"/v1/meeting-templates/{name}"))["name"] == name.lower()
    await refused(ann.delete("/v1/meeting-templates/Retrospective"), "template_built_in")
    await refused(ann.delete("/v1/meeting-templates/retrospective"), "template_built_in")
    await ann.delete("/v1/meeting-templates/naming")
    await refused(ann.get("/v1/meeting-templates/naming"), "template_not_found")


async def test_the_last_event_says_how_the_meeting_is_whatever_went_on(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, max_discussion_rounds=2, opinion_timeout_s=10.0)

    async def told() -> Any:
        page = await mesh.get(f"/v1/meetings/{meeting['id']}/replay", limit=200)
        return page["items"][-1]["data"]["meeting"]

    async def listed() -> Any:
        return (await mesh.get("/v1/meetings"))["items"][0]

    assert await told() == await listed()
    await cat.post("/v1/agents/cat/leave")
    mesh.clock.advance(11)
    await mesh.sweep()
    assert await told() == await listed()
    await say(ben, meeting, kind="proposal")
    assert (await listed())["phase"] == "voting", "cat was passed over when its turn came"
    assert await told() == await listed()
    await vote(ann, meeting, "disagree")
    await vote(ben, meeting)
    assert (await listed())["round"] == 2
    assert await told() == await listed()
