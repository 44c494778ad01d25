"""Meetings as nobody means them: blank, huge, deserted, doubled, called off. They end in order."""

from __future__ import annotations

from typing import Any

import pytest

from domains.meetings.meeting import called, inbox, say, show, types, vote
from harness import Mesh, Refused, Speaker
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio


async def team(mesh: Mesh, *names: str) -> list[Speaker]:
    return [await mesh.agent(name) for name in names]


async def code(awaitable: Any) -> str:
    with pytest.raises(Refused) as error:
        await awaitable
    return str(error.value.code)


async def do(speaker: Speaker, meeting: Any, verb: str, **body: Any) -> Any:
    return await speaker.post(f"/v1/meetings/{meeting['id']}/{verb}", **body)


async def test_blanks_say_nothing(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    for blank in ("", "  ", "\n\t\n", "\u2003"):
        assert await code(mesh.post("/v1/meetings", topic=blank)) == "invalid_request"
    meeting = await called(mesh, ann, ben)
    for fields in ({"content": " \n"}, {"content": "x", "proposal": "\t"}):
        assert await code(say(ann, meeting, **fields)) == "invalid_request"
    assert (await show(mesh, meeting))["speaker_name"] == "ann", "her turn is not used up"


async def test_words_of_every_script_are_kept_to_the_letter(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    topic = "مرحبا \u202e🦜👩‍👩‍👧\u0300 \x1b[31m\r\n\u2028ﬀ"
    meeting = await called(mesh, ann, ben, topic=topic, max_discussion_rounds=1)
    await say(ann, meeting, topic, kind="proposal")
    await say(ben, meeting, topic)
    await vote(ann, meeting, "agree", reason=topic)
    await vote(ben, meeting, "disagree", reason=topic, amendment=topic)
    whole = await show(mesh, meeting)
    said, votes = whole["rounds"][0]["opinions"], whole["rounds"][0]["votes"]
    assert {whole["topic"], *(one["content"] for one in said), *(one["reason"] for one in votes)} == {topic}
    for notice in await inbox(ben):
        assert len(notice["subject"].splitlines()) == 1


async def test_a_quorum_that_nobody_can_reach_does_not_begin(mesh: Mesh) -> None:
    ann, _, cat = await team(mesh, "ann", "ben", "cat")
    terms: dict[str, Any] = {"consensus": "quorum", "quorum": 3}
    refused = mesh.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"], start=True, **terms)
    assert await code(refused) == "too_few_participants"
    assert (await mesh.get("/v1/meetings"))["items"] == []
    meeting = await mesh.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"], **terms)
    assert await code(do(ann, meeting, "start")) == "too_few_participants"
    await do(cat, meeting, "join")
    assert (await do(ann, meeting, "start"))["speaker_name"] == "ann"


async def test_the_longest_of_all_meetings_is_told_within_bounds(mesh: Mesh) -> None:
    count = limits.MEETING_PARTICIPANTS_MAX
    speakers = await team(mesh, *(f"a{number:02}{'n' * 61}" for number in range(count)))
    meeting = await called(
        mesh, *speakers, topic="T" * limits.MEETING_TOPIC_CHARS_MAX, max_discussion_rounds=1
    )
    for speaker in speakers:
        await say(speaker, meeting, "é" * limits.OPINION_CHARS_MAX, proposal="p" * limits.PROPOSAL_CHARS_MAX)
    reason = "r" * limits.REASON_CHARS_MAX
    for speaker in speakers:
        ended = await vote(speaker, meeting, "agree", reason=reason, amendment=reason)
    assert ended["outcome"] == "consensus"
    decision = await mesh.get(f"/v1/decisions/{ended['decision_id']}")
    assert decision["decision"] == "p" * limits.PROPOSAL_CHARS_MAX
    assert len(decision["rationale"]) == limits.RATIONALE_CHARS_MAX
    newest = (await inbox(speakers[-1]))[0]
    assert newest["body_chars"] <= limits.MEETING_REQUEST_CHARS_DEFAULT
    assert newest["body"].count("p") >= limits.MEETING_REQUEST_CHARS_DEFAULT // 2 - 10
    minutes = await mesh.get(f"/v1/meetings/{meeting['id']}/minutes", max_chars=5_000)
    assert len(minutes["markdown"]) <= 5_000


async def test_a_long_summary_is_told_in_short(mesh: Mesh) -> None:
    speakers = await team(mesh, *(f"a{number}" for number in range(8)))
    meeting = await called(mesh, *speakers, max_discussion_rounds=1)
    for speaker in speakers:
        await say(speaker, meeting, "word " * 200)
    for speaker in speakers:
        ended = await vote(speaker, meeting, "disagree", reason="because " * 100)
    assert len(ended["summary"]) > limits.MEETING_REQUEST_CHARS_DEFAULT
    assert (await inbox(speakers[0]))[0]["body_chars"] == limits.MEETING_REQUEST_CHARS_DEFAULT


async def test_a_meeting_is_called_off_in_every_state_but_the_last(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    pending = await ann.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"])
    discussed = await called(ann, ann, ben)
    voted = await called(ann, ann, ben)
    await say(ann, voted)
    await say(ben, voted)
    await vote(ann, voted)
    ended = [await do(ann, one, "cancel", reason="No.") for one in (pending, discussed, voted)]
    mesh.clock.advance(1_000)
    await mesh.sweep()
    for meeting in ended:
        assert (meeting["status"], meeting["outcome"]) == ("cancelled", "cancelled")
        assert (meeting["phase"], meeting["speaker_id"], meeting["due_at"]) == (None, None, None)
        for verb, body in (
            ("cancel", {}),
            ("start", {}),
            ("join", {}),
            ("leave", {}),
            ("speak", {"content": "Late."}),
            ("vote", {"choice": "agree"}),
        ):
            assert await code(do(ann, meeting, verb, **body)) == "meeting_status"
        assert (await show(mesh, meeting))["version"] == meeting["version"]
    assert (await types(mesh, voted))[-1] == "meeting.cancelled"


async def test_the_chair_may_leave_and_the_meeting_goes_on(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, chair="ann")
    await say(ann, meeting, "The chair's.", kind="proposal")
    await do(ann, meeting, "leave")
    await say(ben, meeting, "Another.", kind="proposal")
    await say(cat, meeting)
    now = await show(mesh, meeting)
    assert (now["chair_name"], now["proposal"]) == ("ann", "The chair's.")
    assert await code(vote(ann, meeting)) == "not_a_participant"
    await vote(ben, meeting)
    assert (await vote(cat, meeting))["outcome"] == "consensus"


@pytest.mark.parametrize("phase", ["pending", "discussion", "voting"])
async def test_a_meeting_that_all_leave_is_over_once_it_began(mesh: Mesh, phase: str) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    meeting = await mesh.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"])
    if phase != "pending":
        await do(ann, meeting, "start")
    if phase == "voting":
        await say(ann, meeting)
        await say(ben, meeting)
        await vote(ann, meeting)
    await do(ann, meeting, "leave")
    left = await do(ben, meeting, "leave")
    if phase == "pending":
        assert left["status"] == "pending"
        assert await code(do(mesh, meeting, "start")) == "too_few_participants"
        await do(ann, meeting, "join")
        await do(ben, meeting, "join")
        assert (await do(mesh, meeting, "start"))["speaker_name"] == "ann"
    else:
        assert (left["status"], left["outcome"]) == ("completed", "no_consensus")
        assert await code(do(ann, meeting, "join")) == "meeting_status"
        assert (await mesh.get("/v1/decisions"))["items"] == []


async def test_a_vote_that_one_who_left_cast_counts(mesh: Mesh) -> None:
    ann, ben, cat = await team(mesh, "ann", "ben", "cat")
    meeting = await called(mesh, ann, ben, cat, consensus="unanimous", max_discussion_rounds=1)
    for speaker in (ann, ben, cat):
        await say(speaker, meeting)
    await vote(ann, meeting, "disagree", reason="No.")
    await do(ann, meeting, "leave")
    await vote(ben, meeting)
    ended = await vote(cat, meeting)
    assert ended["outcome"] == "no_consensus", "leaving does not take a vote back"
    assert "- ann disagreed: No." in ended["summary"]


async def test_agents_that_retire_in_the_middle_hold_nobody_up(mesh: Mesh) -> None:
    ann, ben, cat, dan = await team(mesh, "ann", "ben", "cat", "dan")
    meeting = await called(mesh, ann, ben, cat, dan)
    await mesh.post("/v1/agents/ann/retire")
    await mesh.sweep()
    assert (await show(mesh, meeting))["speaker_name"] == "ben"
    assert await code(say(ann, meeting)) in ("unauthenticated", "token_revoked", "agent_retired")
    task = {"goal": "Do it", "agent": "dan"}
    await say(ben, meeting, "So be it.", kind="proposal", tasks=[task])
    await say(cat, meeting)
    await say(dan, meeting)
    await vote(dan, meeting)  # two of four would be no quorum
    await mesh.post("/v1/agents/dan/retire")
    await vote(ben, meeting)
    ended = await vote(cat, meeting)
    assert ended["outcome"] == "consensus"
    decision = await mesh.get(f"/v1/decisions/{ended['decision_id']}")
    assert [one["agent_name"] for one in decision["absent"]] == ["ann"]
    assert [one["assignee_name"] for one in decision["tasks"]] == [None], "anybody may do what dan can't"


async def test_whoever_lost_its_token_takes_no_part(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    observer = await mesh.observer()
    meeting = await called(mesh, ann, ben)
    assert await code(say(observer, meeting)) == "forbidden"
    assert await code(say(mesh.anonymous(), meeting)) == "unauthenticated"
    zombie = await mesh.agent("zed")
    await do(zombie, meeting, "join")
    successor = await mesh.agent("zed", force=True)
    before = await show(mesh, meeting)
    assert await code(do(zombie, meeting, "leave")) == "instance_replaced"
    assert await show(mesh, meeting) == before
    await do(successor, meeting, "leave")


async def test_two_meetings_of_the_same_agents_do_not_mix(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    first = await called(mesh, ann, ben, topic="First")
    second = await called(mesh, ben, ann, topic="Second")
    assert await code(say(ben, first)) == "not_your_turn"
    await say(ben, second, "Second.", kind="proposal")
    await say(ann, first, "First.", kind="proposal")
    await say(ann, second)
    await say(ben, first)
    for meeting, text in ((first, "First."), (second, "Second.")):
        assert (await show(mesh, meeting))["proposal"] == text
        await vote(ann, meeting)
        ended = await vote(ben, meeting)
        assert (await mesh.get(f"/v1/decisions/{ended['decision_id']}"))["decision"] == text
    acked = [one for one in await inbox(ann, limit=50) if one["ack_required"]]
    assert [one["status"] for one in acked] == ["acked"] * 4


async def test_what_is_sent_again_is_done_once(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    made = [
        await mesh.post(
            "/v1/meetings",
            headers={"Idempotency-Key": "call"},
            topic="T",
            participant_ids=["ann", "ben"],
            start=True,
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    path = f"/v1/meetings/{made[0]['id']}"
    for speaker in (ann, ben):
        said = [
            await speaker.post(f"{path}/speak", headers={"Idempotency-Key": "say"}, content="So.")
            for _ in range(2)
        ]
        assert said[0] == said[1]
    other = ann.post(f"{path}/speak", headers={"Idempotency-Key": "say"}, content="Else.")
    assert await code(other) == "idempotency_conflict"
    for speaker in (ann, ben):
        voted = [
            await speaker.post(f"{path}/vote", headers={"Idempotency-Key": "vote"}, choice="agree")
            for _ in range(2)
        ]
        assert voted[0] == voted[1]
    assert voted[0]["outcome"] == "consensus"
    assert len((await mesh.get("/v1/decisions"))["items"]) == 1
    refused = [await code(ann.post(f"{path}/join", headers={"Idempotency-Key": "join"})) for _ in range(2)]
    assert refused == ["meeting_status"] * 2


async def test_a_decision_that_was_changed_meanwhile_is_left_as_it_is(mesh: Mesh) -> None:
    old = await mesh.post("/v1/decisions", topic="T", decision="Tabs.")
    path = f"/v1/decisions/{old['id']}"
    stale = mesh.post(f"{path}/overrule", headers={"If-Match": '"7"'}, reason="Spaces.")
    assert await code(stale) == "stale_version"
    assert await code(mesh.post(f"{path}/overrule", reason=" ")) == "invalid_request"
    await mesh.post(f"{path}/overrule", headers={"If-Match": '"1"'}, reason="Spaces.")
    assert await code(mesh.post(f"{path}/overrule", reason="Again.")) == "decision_status"


async def test_a_decision_that_no_longer_holds_is_not_superseded_by_a_meeting(mesh: Mesh) -> None:
    ann, ben = await team(mesh, "ann", "ben")
    old = await mesh.post("/v1/decisions", topic="T", decision="Tabs.")
    meeting = await called(mesh, ann, ben, supersedes=old["id"])
    await say(ann, meeting, "Spaces.", kind="proposal")
    await say(ben, meeting)
    await mesh.post(f"/v1/decisions/{old['id']}/overrule", reason="It was never meant.")
    await vote(ann, meeting)
    ended = await vote(ben, meeting)
    made = await mesh.get(f"/v1/decisions/{ended['decision_id']}")
    assert (made["supersedes_id"], made["status"]) == (None, "active")
    assert (await mesh.get(f"/v1/decisions/{old['id']}"))["status"] == "overruled"
