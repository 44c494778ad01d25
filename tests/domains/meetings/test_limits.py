"""What is bounded, at its edge; and what is read within a budget."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from domains.meetings.meeting import called, say, show, vote
from harness import Mesh, Refused
from repomesh.domains.meetings import flow, prompts, rules
from repomesh.domains.meetings.decisions.models import RecordDecision
from repomesh.domains.meetings.errors import TooManyParticipants
from repomesh.domains.meetings.flow import MeetingState, MeetingTerms
from repomesh.domains.meetings.minutes.models import ReplayMeeting
from repomesh.domains.meetings.models import CreateMeeting, JoinMeeting, Opinion, Proposal, Speak
from repomesh.domains.meetings.templates.models import CreateTemplate
from repomesh.kernel import limits
from repomesh.kernel.clock import system_clock
from repomesh.kernel.ids import new_id

pytestmark = pytest.mark.anyio
ID = new_id()


@pytest.mark.parametrize(
    ("model", "fields", "name", "edge", "beyond"),
    [
        (CreateMeeting, {}, "topic", "x" * limits.MEETING_TOPIC_CHARS_MAX, "x"),
        (CreateMeeting, {"topic": "T"}, "agenda", ("x",) * limits.MEETING_AGENDA_ITEMS_MAX, ("x",)),
        (CreateMeeting, {"topic": "T"}, "participant_ids", ("x",) * limits.MEETING_PARTICIPANTS_MAX, ("x",)),
        (CreateMeeting, {"topic": "T"}, "related_task_ids", (ID,) * limits.MEETING_RELATED_MAX, (ID,)),
        (CreateMeeting, {"topic": "T"}, "max_discussion_rounds", limits.MEETING_ROUNDS_MAX, 1),
        (CreateMeeting, {"topic": "T"}, "opinion_timeout_s", limits.MEETING_TIMEOUT_S_MAX, 0.1),
        (CreateMeeting, {"topic": "T"}, "vote_timeout_s", limits.MEETING_TIMEOUT_S_MIN, -0.1),
        (CreateMeeting, {"topic": "T"}, "quorum", limits.MEETING_PARTICIPANTS_MAX, 1),
        (CreateTemplate, {"name": "t"}, "vote_prompt", "x" * limits.MEETING_PROMPT_CHARS_MAX, "x"),
        (JoinMeeting, {"meeting_id": ID}, "max_chars", limits.MEETING_REQUEST_CHARS_MAX, 1),
        (JoinMeeting, {"meeting_id": ID}, "max_chars", limits.MEETING_REQUEST_CHARS_MIN, -1),
        (Speak, {"meeting_id": ID}, "content", "x" * limits.OPINION_CHARS_MAX, "x"),
        (Speak, {"meeting_id": ID, "content": "c"}, "proposal", "x" * limits.PROPOSAL_CHARS_MAX, "x"),
        (
            RecordDecision,
            {"topic": "T", "decision": "D"},
            "tasks",
            ({"goal": "G"},) * limits.DECISION_TASKS_MAX,
            ({"goal": "G"},),
        ),
        (RecordDecision, {"topic": "T", "decision": "D"}, "rationale", "x" * limits.RATIONALE_CHARS_MAX, "x"),
        (ReplayMeeting, {"meeting_id": ID}, "speed", limits.MEETING_REPLAY_SPEED_MAX, 1.0),
        (ReplayMeeting, {"meeting_id": ID}, "speed", limits.MEETING_REPLAY_SPEED_MIN, -0.001),
    ],
)
def test_requests_are_bounded(model: Any, fields: dict[str, Any], name: str, edge: Any, beyond: Any) -> None:
    model(**fields, **{name: edge})
    with pytest.raises(ValidationError, match=name):
        model(**fields, **{name: edge + beyond})


def test_so_many_take_part_and_no_more() -> None:
    members = {f"a{number}": f"a{number}" for number in range(limits.MEETING_PARTICIPANTS_MAX - 1)}
    full, _ = rules.step(
        MeetingState(MeetingTerms(), members, tuple(members)), flow.JoinCommand("b", "b"), (), system_clock()
    )
    assert len(full.present) == limits.MEETING_PARTICIPANTS_MAX
    with pytest.raises(TooManyParticipants):
        rules.step(full, flow.JoinCommand("c", "c"), (), system_clock())


async def test_a_proposal_as_long_as_an_opinion_is_refused_in_words(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben)
    with pytest.raises(Refused) as refused:
        await say(ann, meeting, "x" * (limits.PROPOSAL_CHARS_MAX + 1), kind="proposal")
    assert refused.value.code == "invalid_request"
    with pytest.raises(Refused) as alone:
        await say(ann, meeting, tasks=[{"goal": "Write it"}])
    assert "come with a proposal" in str(alone.value)
    await say(ann, meeting, "x" * limits.PROPOSAL_CHARS_MAX, kind="proposal")


def test_requests_keep_to_their_budget_whatever_was_said() -> None:
    asked = prompts.PromptHeader(ID, "T" * 2_000, 1, 3, ["A" * 200] * 20, "P" * 2_000, system_clock())
    said = [
        Opinion(
            sequence=number,
            round=1,
            agent_id=ID,
            agent_name="n" * 64,
            kind="opinion",
            content="c" * 16_000,
            proposal=None,
            tasks=[],
            at=system_clock(),
        )
        for number in range(1, 51)
    ]
    proposal = Proposal(
        round=1, source="chair", sequence=1, agent_name="n", text="p" * 8_000, tasks=[], at=system_clock()
    )
    for budget in (limits.MEETING_REQUEST_CHARS_MIN, limits.MEETING_REQUEST_CHARS_DEFAULT, 40_000):
        assert len(prompts.vote_request(asked, said, proposal, budget)) <= budget
        text = prompts.opinion_request(asked, said, [], budget)
        assert len(text) <= budget
        assert "#50 " in text
        assert f"Give your opinion by {asked.due_at:%Y}" in text


async def test_what_was_said_is_cut_to_the_budget_and_early_rounds_go_first(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben, max_discussion_rounds=2)
    for choices in (("agree", "disagree"), ("agree", "agree")):
        for _ in range(2):
            speaker = ann if (await show(mesh, meeting))["speaker_name"] == "ann" else ben
            await say(speaker, meeting, '"word" ' * 500, kind="proposal")
        await vote(ann, meeting, choices[0], reason="because " * 100)
        await vote(ben, meeting, choices[1], reason="because " * 100)
    path = f"/v1/meetings/{meeting['id']}"
    for budget in (40_000, 12_000, 9_000, 5_000):
        response = await mesh.request("GET", path, params={"max_chars": budget})
        assert len(response.text) <= budget
    whole = await mesh.get(path, max_chars=9_000)
    assert whole["omitted"].startswith("texts cut")
    assert whole["rounds"][-1]["opinions"][0]["truncated"]
    least = await mesh.get(path, max_chars=limits.DETAIL_CHARS_MIN)
    assert (least["topic"], least["rounds"], least["decision"]["decision"]) == ("Which parser?", [], "")
    assert "early rounds left out: 2" in least["omitted"]
    minutes = await mesh.get(f"{path}/minutes", max_chars=2_000)
    assert len(minutes["markdown"]) <= 2_000
