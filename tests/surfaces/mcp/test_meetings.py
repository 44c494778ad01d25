"""Meetings over MCP: the request comes as a message, two tools answer it; and beside sockets and HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domains.meetings.meeting import called, inbox, request, say, show, types, vote
from harness import Mesh, Speaker
from live import LiveMesh
from surfaces.stream.seat import seat
from tooling import STATELESS, ToolRefused, call, over_http, use

pytestmark = pytest.mark.anyio

ID = re.compile(r"in meeting ([0-9a-f-]{36}), round (\d+)")

Answer = Callable[[str, int, str], dict[str, Any]]
"""Of (what is asked, the round, the text of the request): the arguments of the tool that answers."""


async def attend(tool: Callable[..., Awaitable[Any]], answer: Answer) -> list[str]:
    """Do what a model does: wait, answer what is asked, until it is told the end; answers what came."""
    subjects: list[str] = []
    while True:
        waiting = (await tool("wait_for_messages", timeout_s=20.0))["items"]
        assert waiting, "nobody asked in time"
        for message in waiting:
            subjects.append(message["subject"])
            found = ID.search(message["body"])
            if not message.get("ack_required"):
                await tool("acknowledge_message", message_id=message["id"])
                return subjects
            assert found is not None, message
            meeting_id, round_ = found[1], int(found[2])
            asked = message["tags"][-1]
            name = "speak_in_meeting" if asked == "opinion_request" else "vote_in_meeting"
            told = answer(asked, round_, message["body"])
            assert (await tool(name, meeting_id=meeting_id, **told))["id"] == meeting_id


def by(speaker: Speaker) -> Callable[..., Awaitable[Any]]:
    """The tools in the hands of an agent."""

    async def tool(name: str, **arguments: Any) -> Any:
        return await call(speaker, name, **arguments)

    return tool


def ann_says(asked: str, round_: int, text: str) -> dict[str, Any]:
    if asked == "opinion_request":
        if round_ == 1:
            return {"content": "Write our own.", "kind": "proposal"}
        assert "Too slow for us." in text, "the dissent of the round before is told"
        return {"content": "Lark it is.", "proposal": "Use lark."}
    assert ("Write our own." if round_ == 1 else "Use lark.") in text
    return {"choice": "agree", "reason": "Mine."}


def ben_says(asked: str, round_: int, text: str) -> dict[str, Any]:
    if asked == "opinion_request":
        assert round_ == 2 or "Write our own." in text, "what ann said is told"
        return {"content": "We have no time for it."}
    if round_ == 1:
        return {"choice": "disagree", "reason": "Too slow for us.", "amendment": "Use lark."}
    return {"choice": "agree"}


async def test_two_rounds_over_mcp(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben)
    told = await asyncio.gather(attend(by(ann), ann_says), attend(by(ben), ben_says))
    for subjects in told:
        assert subjects == [
            "Your turn to speak: Which parser?",
            "Vote: Which parser?",
            "Your turn to speak: Which parser?",
            "Vote: Which parser?",
            "Decided: Which parser?",
        ]
    whole = await show(mesh, meeting)
    assert (whole["outcome"], whole["round"]) == ("consensus", 2)
    assert whole["decision"]["decision"] == "Use lark."
    against = [one for one in whole["rounds"][0]["votes"] if one["choice"] == "disagree"]
    assert [one["amendment"] for one in against] == ["Use lark."], "whoever of the two voted first"
    for speaker in (ann, ben):
        assert {one["status"] for one in await inbox(speaker)} == {"acked"}


async def test_one_meeting_over_mcp_a_socket_and_http(live: LiveMesh) -> None:
    ann, ben = await live.agent("ann"), await live.agent("ben")
    jane = await live.agent("jane", type="human")
    assert ann.token is not None
    meeting = await called(jane, ann, ben, jane, consensus="two_thirds", max_discussion_rounds=2)

    async def at_the_keyboard() -> None:
        """A person who looks now and then."""
        for round_ in (1, 2):
            await until(jane, meeting, "opinion_request")
            await say(jane, meeting, "Let us be quick.")
            await until(jane, meeting, "consensus_request")
            choice = "abstain" if round_ == 1 else "agree"
            await vote(jane, meeting, choice, reason="I can live with it.")

    async def on_a_line() -> None:
        async with seat(live, ben, meeting) as bens:
            for round_ in (1, 2):
                await bens.say("We have no time for it.", round=round_)
                await bens.vote(agrees=False, reason="Too slow for us.", round=round_)
            assert (await bens.hear("meeting_completed"))[-1]["data"]["meeting"]["outcome"] == "consensus"

    async with over_http(live.url, ann.token, STATELESS) as client:

        async def tool(name: str, **arguments: Any) -> Any:
            return await use(client, name, **arguments)

        await asyncio.gather(attend(tool, ann_says), at_the_keyboard(), on_a_line())
    whole = await show(live, meeting)
    assert [one["agent_name"] for one in whole["decision"]["agreement"]] == ["ann", "jane"]
    assert [(one["agent_name"], one["reason"]) for one in whole["decision"]["dissent"]] == [
        ("ben", "Too slow for us.")
    ]
    assert (await types(live, meeting)).count("meeting.opinion_requested") == 6


async def until(speaker: Speaker, meeting: Any, asked: str) -> None:
    """Look until something is asked of somebody."""
    for _look in range(2_000):
        if (await request(speaker, meeting))["type"] == asked:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{asked} did not come")


async def test_what_is_refused_says_why_and_changes_nothing(mesh: Mesh) -> None:
    ann, ben, eve = [await mesh.agent(name) for name in ("ann", "ben", "eve")]
    meeting = await called(mesh, ann, ben)

    async def refused(speaker: Speaker, tool: str, **arguments: Any) -> Any:
        before = await show(mesh, meeting)
        with pytest.raises(ToolRefused) as error:
            await call(speaker, tool, meeting_id=meeting["id"], **arguments)
        assert await show(mesh, meeting) == before
        assert error.value.body["hint"]
        return error.value.body

    told = await refused(ben, "speak_in_meeting", content="Me first.")
    assert (told["code"], told["speaker"]) == ("not_your_turn", "ann")
    for speaker, tool, arguments, code in (
        (eve, "speak_in_meeting", {"content": "x"}, "not_a_participant"),
        (eve, "vote_in_meeting", {"choice": "agree"}, "not_a_participant"),
        (ann, "vote_in_meeting", {"choice": "agree"}, "not_voting"),
        (ann, "speak_in_meeting", {}, "invalid_request"),
        (ann, "vote_in_meeting", {"choice": "perhaps"}, "invalid_request"),
        (await mesh.observer(), "speak_in_meeting", {"content": "x"}, "forbidden"),
        (mesh, "speak_in_meeting", {"content": "x"}, "agent_required"),
    ):
        assert (await refused(speaker, tool, **arguments))["code"] == code
    await call(ann, "speak_in_meeting", meeting_id=meeting["id"], content="x")
    assert (await refused(ann, "speak_in_meeting", content="y"))["happened"] == "spoke"
    await call(ben, "speak_in_meeting", meeting_id=meeting["id"], content="x")
    await call(ann, "vote_in_meeting", meeting_id=meeting["id"], choice="agree")
    assert (await refused(ann, "vote_in_meeting", choice="disagree"))["code"] == "already_voted"


async def test_a_participant_that_was_late_is_told_what_happened_instead(mesh: Mesh) -> None:
    ann, ben = await mesh.agent("ann"), await mesh.agent("ben")
    meeting = await called(mesh, ann, ben, opinion_timeout_s=10.0)
    [asked] = (await call(ann, "wait_for_messages", timeout_s=0.0))["items"]
    assert asked["ack_required"]
    mesh.clock.advance(11)
    await mesh.sweep()
    with pytest.raises(ToolRefused) as late:
        await call(ann, "speak_in_meeting", meeting_id=meeting["id"], content="Sorry.")
    assert (late.value.code, late.value.body["happened"]) == ("turn_over", "no_response")
    assert (await call(ann, "wait_for_messages", timeout_s=0.0))["items"] == [], "it asks no more"
