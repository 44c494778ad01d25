"""Topics are suggested from what really happened, to whom may see it."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.meetings.topics import sources as topic_sources
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel import limits
from repomesh.kernel.identity import Caller, Role, system_caller

pytestmark = pytest.mark.anyio


async def suggested(speaker: Speaker, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await speaker.get("/v1/meetings/suggest-topics", **asked))[
        "suggested_topics"
    ]
    return found


async def dispute(one: Speaker, other: Speaker, **message: Any) -> list[str]:
    """Two agents who do not agree on retries; answers the ids of their messages."""
    said = [
        "A time-out does not mean that the charge failed, so I would never retry a capture.",
        "Without retries we lose two per cent of all checkouts, customers complain about it every day.",
        "Losing a checkout is still better than charging somebody twice, please do not merge the retries.",
        "The key makes a retry safe on their side, I disagree and I can't wait with this until next week.",
    ]
    first = await one.post(
        "/v1/messages", **({"to": [other.name], "subject": "Retries of captures", "body": said[0]} | message)
    )
    ids = [first["id"]]
    for number, body in enumerate(said[1:]):
        speaker = (other, one)[number % 2]
        answer = await speaker.post("/v1/messages", parent_message_id=ids[-1], body=body)
        ids.append(answer["id"])
    return ids


@pytest.fixture
async def team(mesh: Mesh) -> tuple[Mesh, Speaker, Speaker, Speaker]:
    return mesh, await mesh.agent("ines"), await mesh.agent("raj"), await mesh.agent("tomas")


async def test_a_dispute_is_suggested_with_its_messages_and_people(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, raj, tomas = team
    ids = await dispute(ines, raj)
    await tomas.post("/v1/messages", to=["*"], subject="Lunch", body="ramen?")
    await raj.post("/v1/messages", to=["*"], subject="Build", body="main is green")
    (topic,) = await suggested(mesh)
    assert topic["topic"].startswith("Retries of captures")
    assert topic["related_messages"] == ids[::-1]
    assert topic["suggested_participants"] == ["ines", "raj"]
    assert 0 < topic["priority"] <= 1
    assert "4 messages by 2 agents" in topic["reason"]
    assert await suggested(mesh) == [topic]


async def test_what_was_settled_falls_behind_what_is_open(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, raj, _tomas = team
    ids = await dispute(ines, raj)
    (open_,) = await suggested(mesh)
    await ines.post("/v1/messages", parent_message_id=ids[-1], body="Agreed then, we retry with the key.")
    (settled,) = await suggested(mesh)
    assert settled["priority"] < open_["priority"] / 2


async def test_a_private_dispute_is_suggested_to_nobody_else(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, raj, tomas = team
    ids = await dispute(ines, raj)
    observer = await mesh.observer()
    for outsider in (tomas, observer):
        assert await suggested(outsider) == []
    for insider in (ines, raj, mesh):
        (topic,) = await suggested(insider)
        assert topic["related_messages"] == ids[::-1]
    # The same words in the open say nothing of who else spoke of it.
    await tomas.post(
        "/v1/messages", to=["*"], subject="Retries of captures", body="I would never retry a capture."
    )
    assert not {"ines", "raj"} & {
        name for one in await suggested(tomas) for name in one["suggested_participants"]
    }


async def test_waits_for_one_lock_become_a_topic(team: tuple[Mesh, Speaker, Speaker, Speaker]) -> None:
    mesh, ines, raj, tomas = team
    await ines.post("/v1/locks/acquire", resources=["src/ledger.py"])
    for speaker in (raj, tomas, raj):
        with pytest.raises(Refused):
            await speaker.post("/v1/locks/acquire", resources=["src/ledger.py"], wait_s=0.05, note="rounding")
    (topic,) = await suggested(mesh)
    assert "src/ledger.py" in topic["topic"]
    assert "3 waits for a lock" in topic["reason"]
    assert topic["suggested_participants"] == ["raj", "tomas", "ines"]


async def test_a_task_that_fails_again_and_again_becomes_a_topic(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, _raj, _tomas = team
    task = await ines.post("/v1/tasks", goal="Replay missed webhooks")
    for _ in range(2):
        held = await ines.post(f"/v1/tasks/{task['id']}/claim")
        await ines.post(
            f"/v1/tasks/{task['id']}/fail",
            fencing_token=held["fencing_token"],
            reason="refunds arrive before their captures, and nobody says what counts",
            retry=True,
        )
    (topic,) = await suggested(mesh)
    assert topic["topic"].startswith("Replay missed webhooks")
    assert topic["related_tasks"] == [task["id"]]
    assert "2 failures of a task" in topic["reason"]
    held = await ines.post(f"/v1/tasks/{task['id']}/claim")
    await ines.post(f"/v1/tasks/{task['id']}/complete", fencing_token=held["fencing_token"])
    assert await suggested(mesh) == []


async def test_blockers_and_questions_without_an_answer_become_topics(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, raj, _tomas = team
    await mesh.agent("olga", type="human")
    asked = await raj.post("/v1/questions", question="How long may a merchant refund?", to="olga")
    await raj.post("/v1/events", type="blocker", data={"message": "The signing key expires tomorrow."})
    await ines.post("/v1/events", type="plan.updated", data={"step": 1})
    mesh.clock.advance(4 * 3600)
    topics = {one["topic"]: one for one in await suggested(mesh)}
    (about_key,) = (one for one in topics if "signing key" in one)
    assert "1 blocker" in topics[about_key]["reason"]
    (about_refunds,) = (one for one in topics if "refund" in one)
    assert topics[about_refunds]["suggested_participants"] == ["raj", "olga"]
    olga = {"X-Repomesh-Agent": "olga"}
    await mesh.post(f"/v1/questions/{asked['id']}/answer", headers=olga, answer="For 180 days.")
    assert not [one for one in await suggested(mesh) if "refund" in one["topic"]]


async def test_only_what_was_said_in_time_counts(team: tuple[Mesh, Speaker, Speaker, Speaker]) -> None:
    mesh, ines, raj, _tomas = team
    await dispute(ines, raj)
    await raj.post("/v1/events", type="blocker", data={"message": "The signing key expires tomorrow."})
    mesh.clock.advance(2 * 3600)
    assert await suggested(mesh, hours_back=1) == []
    assert len(await suggested(mesh, hours_back=3)) == 2
    assert len(await suggested(mesh, hours_back=3, limit=1)) == 1
    for wrong in (
        {"hours_back": 0},
        {"hours_back": limits.TOPIC_HOURS_MAX + 1},
        {"limit": limits.TOPICS_MAX + 1},
    ):
        with pytest.raises(Refused) as caught:
            await suggested(mesh, **wrong)
        assert caught.value.code == "invalid_request"


async def test_what_a_meeting_was_called_about_is_linked_and_suggested_no_more(
    team: tuple[Mesh, Speaker, Speaker, Speaker],
) -> None:
    mesh, ines, raj, _tomas = team
    ids = await dispute(ines, raj)
    (topic,) = await suggested(ines)
    called = await ines.post(
        "/v1/meetings",
        topic=topic["topic"],
        meeting_type="auto_generated",
        participant_ids=topic["suggested_participants"],
        related_message_ids=topic["related_messages"],
        related_task_ids=topic["related_tasks"],
    )
    shown = await ines.get(f"/v1/meetings/{called['id']}")
    assert (shown["topic"], shown["related_message_ids"]) == (topic["topic"], ids[::-1])
    assert await suggested(mesh) == []
    await ines.post(f"/v1/meetings/{called['id']}/start")
    assert await suggested(mesh) == []
    await ines.post(f"/v1/meetings/{called['id']}/cancel", reason="we spoke")
    (again,) = await suggested(mesh)
    assert again["related_messages"] == topic["related_messages"]


async def test_who_is_retired_is_not_invited(team: tuple[Mesh, Speaker, Speaker, Speaker]) -> None:
    mesh, ines, raj, _tomas = team
    await dispute(ines, raj)
    await mesh.post(f"/v1/agents/{raj.id}/retire")
    (topic,) = await suggested(mesh)
    assert topic["suggested_participants"] == ["ines"]


async def test_of_each_source_the_newest_are_read_and_no_more(
    team: tuple[Mesh, Speaker, Speaker, Speaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh, ines, raj, tomas = team
    await mesh.agent("olga", type="human")
    for number in range(4):
        await ines.post("/v1/messages", to=["*"], subject="Count", body=f"message {number}")
        await ines.post("/v1/messages", to=["raj"], body=f"message {number}, for raj")
        await raj.post("/v1/events", type="a.note", data={"text": f"note {number}"})
        await raj.post("/v1/events", type="blocker", data={"text": f"blocker {number}"})
        await raj.post("/v1/questions", question=f"question {number}", to="olga")
        task = await ines.post("/v1/tasks", goal=f"Task {number}")
        await ines.post(f"/v1/tasks/{task['id']}/block", reason=f"blocked {number}")

    def read(speaker: Speaker, **bounds: int) -> list[str]:
        caller = system_caller(workspace_id) if speaker is mesh else agent_of(speaker)
        with monkeypatch.context() as patch:
            for name, value in bounds.items():
                patch.setattr(limits, f"TOPIC_{name}", value)
            since = mesh.clock() - timedelta(hours=1)
            signals = mesh.server.store.read_now(caller, lambda tx: topic_sources.gather(tx, since))
        return [one.text for one in signals]

    def agent_of(speaker: Speaker) -> Caller:
        return Caller(workspace_id, Role.AGENT, "t", speaker.id, speaker.name, "ai")

    [workspace_id] = mesh.server.store.read_now(system_caller(""), workspace_ids)
    whole = read(mesh)
    assert len(whole) == 4 * 6
    newest = read(mesh, MESSAGES_MAX=2)
    assert [text for text in newest if text.startswith(("message", "question"))] == [
        "question 3",
        "message 3, for raj",
    ]
    looked_at = read(tomas, MESSAGES_LOOKED_AT=4)
    assert [text for text in looked_at if text.startswith(("message", "question"))] == ["message 3"]
    assert len(read(tomas)) == 4 * 4
    blocked = [text for text in read(mesh, EVENTS_MAX=1) if text.startswith("blocked")]
    assert blocked == ["blocked 3"]
    posted = [text for text in read(mesh, POSTED_PER_TYPE=3) if text.startswith(("note", "blocker"))]
    assert sorted(posted) == ["blocker 1", "blocker 2", "blocker 3", "note 1", "note 2", "note 3"]
    posted = [text for text in read(mesh, POSTED_MAX=5) if text.startswith(("note", "blocker"))]
    assert sorted(posted) == ["blocker 0", "blocker 1", "blocker 2", "blocker 3", "note 3"]
    some = [text for text in read(mesh, EVENTS_LOOKED_AT=4) if text.startswith("blocked")]
    assert some == ["blocked 3"]
    assert read(mesh, TEXT_CHARS=3)[0] == "que"


async def test_the_answer_keeps_to_its_budget(team: tuple[Mesh, Speaker, Speaker, Speaker]) -> None:
    mesh, ines, raj, tomas = team
    await dispute(ines, raj)
    await tomas.post("/v1/events", type="blocker", data={"message": "The signing key expires tomorrow."})
    whole = (await mesh.request("GET", "/v1/meetings/suggest-topics")).text
    sizes = []
    for budget in (len(whole), len(whole) - 1, 620, limits.MAX_CHARS_MIN):
        answer = await mesh.request("GET", "/v1/meetings/suggest-topics", params={"max_chars": budget})
        assert len(answer.text) <= budget
        sizes.append(len(answer.json()["suggested_topics"]))
        assert (answer.json()["omitted"] is None) == (budget == len(whole))
    assert sizes == [2, 1, 1, 1]


async def test_without_the_extra_it_says_what_to_install(
    team: tuple[Mesh, Speaker, Speaker, Speaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh, ines, raj, _tomas = team
    assert await suggested(mesh) == []
    await dispute(ines, raj)
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(Refused) as caught:
        await suggested(mesh)
    assert (caught.value.status, caught.value.code) == (503, "topics_unavailable")
    assert "repomesh[topics]" in caught.value.problem["hint"]


async def test_suggestions_of_one_agent_read_one_after_another(
    team: tuple[Mesh, Speaker, Speaker, Speaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    _mesh, ann, *_ = team
    guard, running, most = threading.Lock(), [0], [0]
    gather = topic_sources.gather

    def counted(*arguments: Any) -> Any:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)  # so that others, if there are any, come in between
        try:
            return gather(*arguments)
        finally:
            with guard:
                running[0] -= 1

    monkeypatch.setattr(topic_sources, "gather", counted)
    await asyncio.gather(*(ann.get("/v1/meetings/suggest-topics") for _ in range(6)))
    assert most == [1]
