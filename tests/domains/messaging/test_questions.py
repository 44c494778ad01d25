"""Questions: an agent asks a person, and goes on with the answer, with the default, or without."""

from __future__ import annotations

from typing import Any

import pytest

from harness import Mesh, Refused, Speaker
from repomesh.domains.messaging.questions import rules as question_rules
from repomesh.domains.messaging.questions.errors import DeadlineMissing

pytestmark = pytest.mark.anyio


async def asked(asker: Speaker, **fields: Any) -> Any:
    return await asker.post("/v1/questions", **{"question": "Which port?"} | fields)


async def status(speaker: Speaker, question: Any) -> str:
    return str((await speaker.get(f"/v1/questions/{question['id']}"))["status"])


async def newest(speaker: Speaker) -> Any:
    return (await speaker.get("/v1/messages/inbox"))["items"][0]


async def types(mesh: Mesh) -> list[str]:
    return [event["type"] for event in await mesh.events(type="question")]


async def test_an_answer_comes_as_a_message_in_the_questions_thread(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    ticket = await asked(alice, options=["80", "8080"])
    assert (ticket["status"], ticket["asked_name"], ticket["answer"]) == ("open", "jane", None)
    put = await newest(jane)
    assert (put["id"], put["priority"]) == (ticket["message_id"], "high")
    assert "1. 80\n2. 8080" in put["body"]
    answered = await jane.post(f"/v1/questions/{ticket['id']}/answer", answer="2")
    assert (answered["status"], answered["answer"], answered["option"]) == ("answered", "8080", "8080")
    reply = await newest(alice)
    assert (reply["body"], reply["sender_name"], reply["thread_id"]) == ("8080", "jane", ticket["message_id"])
    assert (await jane.get("/v1/messages/inbox", unread=True))["items"] == []
    assert await types(mesh) == ["question.asked", "question.answered"]


async def test_a_plain_reply_is_an_answer_too_and_may_be_in_other_words(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    ticket = await asked(alice, options=["80", "8080"])
    await jane.post("/v1/messages", parent_message_id=ticket["message_id"], body="Neither: use a socket.")
    shown = await alice.get(f"/v1/questions/{ticket['id']}")
    assert (shown["status"], shown["answer"], shown["option"], shown["answered_by"]) == (
        "answered",
        "Neither: use a socket.",
        None,
        "jane",
    )


async def test_at_the_deadline_the_default_applies_and_the_asker_is_told(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    ticket = await asked(alice, options=["80", "8080"], default="8080", deadline_s=60.0)
    await mesh.sweep()
    assert await status(alice, ticket) == "open"
    mesh.clock.advance(61)
    await mesh.sweep()
    shown = await alice.get(f"/v1/questions/{ticket['id']}")
    assert (shown["status"], shown["answer"], shown["option"]) == ("defaulted", "8080", "8080")
    told = await newest(alice)
    assert (told["sender_id"], told["thread_id"]) == (None, ticket["message_id"])
    assert "8080" in told["body"]
    with pytest.raises(Refused) as late:
        await jane.post(f"/v1/questions/{ticket['id']}/answer", answer="80")
    assert late.value.code == "question_closed"
    await mesh.sweep()
    assert await types(mesh) == ["question.asked", "question.defaulted"]


async def test_at_the_deadline_it_escalates_and_the_next_one_answers(mesh: Mesh) -> None:
    alice, lead = await mesh.agent("alice"), await mesh.agent("lead")
    jane = await mesh.agent("jane", type="human")
    ticket = await asked(alice, deadline_s=60.0, escalate_to="lead", default="80")
    with pytest.raises(Refused) as early:
        await lead.get(f"/v1/questions/{ticket['id']}")
    assert early.value.code == "question_not_found"
    mesh.clock.advance(61)
    await mesh.sweep()
    put = await newest(lead)
    assert (put["sender_name"], put["thread_id"]) == ("alice", ticket["message_id"])
    assert put["body"].startswith("jane did not answer in time")
    assert await status(lead, ticket) == "open"
    answered = await lead.post(f"/v1/questions/{ticket['id']}/answer", answer="443")
    assert (answered["answer"], answered["answered_by"]) == ("443", "lead")
    assert (await newest(alice))["body"] == "443"
    assert await types(mesh) == ["question.asked", "question.escalated", "question.answered"]
    assert await status(jane, ticket) == "answered"


async def test_after_the_escalation_the_first_person_may_answer_and_then_the_default_applies(
    mesh: Mesh,
) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    await mesh.agent("lead")
    first, second = [
        await asked(alice, deadline_s=60.0, escalate_to="lead", default="80", question=text)
        for text in ("One?", "Two?")
    ]
    mesh.clock.advance(61)
    await mesh.sweep()
    await jane.post(f"/v1/questions/{first['id']}/answer", answer="22")
    mesh.clock.advance(61)
    await mesh.sweep()
    assert [await status(alice, one) for one in (first, second)] == ["answered", "defaulted"]


async def test_nobody_answers_and_there_is_no_default(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    ticket = await asked(alice, deadline_s=60.0)
    assert ticket["asked_name"] == "owner", "somebody is there to be asked, even before anybody came"
    mesh.clock.advance(61)
    await mesh.sweep()
    assert await status(alice, ticket) == "expired"
    assert "Nobody answered." in (await newest(alice))["body"]
    assert await types(mesh) == ["question.asked", "question.expired"]


async def test_whoever_leaves_service_is_not_escalated_to(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("lead")
    ticket = await asked(alice, deadline_s=60.0, escalate_to="lead", default="80")
    await mesh.post("/v1/agents/lead/retire")
    mesh.clock.advance(61)
    await mesh.sweep()
    assert await status(alice, ticket) == "defaulted"


async def test_its_asker_withdraws_it(mesh: Mesh) -> None:
    alice, jane = await mesh.agent("alice"), await mesh.agent("jane", type="human")
    ticket = await asked(alice)
    with pytest.raises(Refused) as refused:
        await jane.post(f"/v1/questions/{ticket['id']}/withdraw")
    assert refused.value.code == "not_the_asker"
    with pytest.raises(Refused) as own:
        await alice.post(f"/v1/questions/{ticket['id']}/answer", answer="80")
    assert own.value.code == "not_asked"
    assert (await alice.post(f"/v1/questions/{ticket['id']}/withdraw"))["status"] == "withdrawn"
    assert await types(mesh) == ["question.asked", "question.withdrawn"]


async def test_others_neither_see_nor_list_it(mesh: Mesh) -> None:
    alice, bob = await mesh.agent("alice"), await mesh.agent("bob")
    jane = await mesh.agent("jane", type="human")
    ticket = await asked(alice)
    for stranger in (bob, await mesh.observer()):
        assert (await stranger.get("/v1/questions"))["items"] == []
        with pytest.raises(Refused) as refused:
            await stranger.get(f"/v1/questions/{ticket['id']}")
        assert refused.value.code == "question_not_found"
        assert (await stranger.get("/v1/events", type="question"))["items"] == []
    for reader in (alice, jane, mesh):
        assert [one["id"] for one in (await reader.get("/v1/questions"))["items"]] == [ticket["id"]]
    assert (await jane.get("/v1/questions", status="answered"))["items"] == []
    assert (await mesh.get("/v1/questions", asked="jane"))["items"]


async def test_questions_are_put_to_people_within_reason(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("bob")
    for fields, code in (
        ({"to": "bob"}, "not_a_person"),
        ({"default": "80"}, "deadline_missing"),
        ({"escalate_to": "bob"}, "deadline_missing"),
        ({"escalate_to": "nobody", "deadline_s": 9.0}, "agent_not_found"),
    ):
        with pytest.raises(Refused) as refused:
            await asked(alice, **fields)
        assert refused.value.code == code
    for _ in range(50):
        await asked(alice)
    with pytest.raises(Refused) as many:
        await asked(alice)
    assert many.value.code == "too_many_questions"


async def test_the_person_who_was_here_last_is_asked(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    await mesh.agent("jane", type="human")
    mesh.clock.advance(5)
    await mesh.agent("john", type="human")
    assert (await asked(alice))["asked_name"] == "john"
    assert (await asked(alice, to="jane"))["asked_name"] == "jane"


async def test_no_agent_makes_a_person_of_itself(mesh: Mesh) -> None:
    alice = await mesh.agent("alice")
    with pytest.raises(Refused) as refused:
        await alice.post("/v1/agents/register", type="human")
    assert refused.value.code == "person_reserved"
    assert (await mesh.get("/v1/agents/alice"))["type"] == "ai"


def test_what_happens_at_the_deadline() -> None:
    assert question_rules.decide_ending("x", "lead", escalated=False) == "escalate"
    assert question_rules.decide_ending("x", "lead", escalated=True) == "default"
    assert question_rules.decide_ending(None, "lead", escalated=True) == "expire"
    assert question_rules.decide_ending("x", None, escalated=False) == "default"
    with pytest.raises(DeadlineMissing):
        question_rules.require_deadline(None, "x", None)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("2", ("no", "no")),
        (" YES ", (" YES ", "yes")),
        ("3", ("3", None)),
        ("0", ("0", None)),
        ("²", ("²", None)),
        ("maybe", ("maybe", None)),
    ],
)
def test_an_option_is_chosen_by_its_text_or_number(answer: str, expected: tuple[str, str | None]) -> None:
    assert question_rules.match_option(["yes", "no"], answer) == expected
