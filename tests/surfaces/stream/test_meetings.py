"""Meetings over sockets: asked, answered, resumed, refused, and who may do what there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from clocks import MovableClock
from domains.meetings.meeting import called, inbox, say, show, types, vote
from harness import Speaker
from live import LiveMesh, serving, url_of
from repomesh.app import Server
from repomesh.domains.messaging.messages.models import MESSAGE_SENT
from repomesh.kernel import limits
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Model
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.store.log import Audience, NewEvent
from surfaces.stream.seat import Seat, seat

pytestmark = pytest.mark.anyio

NOTHING = "01900000-0000-7000-8000-000000000000"


async def team(live: LiveMesh, *names: str) -> list[Speaker]:
    return [await live.agent(name) for name in names]


async def test_two_rounds_over_sockets(live: LiveMesh) -> None:
    ann, ben, _cat = await team(live, "ann", "ben", "cat")
    made = await live.post(
        "/v1/meetings",
        topic="Which parser?",
        participant_ids=["ann", "ben", "cat"],
        consensus="two_thirds",
        agenda=["Speed"],
    )
    observer = await live.observer()
    async with (
        seat(live, ann, made, agent_id=ann.id) as anns,
        seat(live, ben, made) as bens,
        seat(live, live, made, agent_id="cat") as cats,
        seat(live, observer, made) as watching,
    ):
        assert (anns.connected["agent_id"], anns.connected["meeting_id"]) == (ann.id, made["id"])
        assert anns.connected["meeting"] == made
        assert (cats.connected["agent_name"], cats.connected["role"]) == ("cat", "owner")
        assert watching.connected["agent_id"] is None
        await ann.post(f"/v1/meetings/{made['id']}/start")

        asked = await anns.next("opinion_request")
        now = await show(live, made)
        assert asked == {
            "type": "opinion_request",
            "meeting_id": made["id"],
            "topic": "Which parser?",
            "round": 1,
            "agenda": ["Speed"],
            "prompt": "",
            "before": [],
            "opinions": [],
            "due_at": now["due_at"],
            "message_id": (await inbox(ann))[0]["id"],
        }
        done = await anns.do("opinion", id="a-1", content="Write our own.", kind="proposal")
        assert done == {"type": "accepted", "frame": "opinion", "meeting_id": made["id"], "id": "a-1"}
        await bens.say("No: use lark.", kind="objection", proposal="Use lark.")
        asked = await cats.next("opinion_request")
        assert [(one["agent_name"], one["kind"], one["content"]) for one in asked["opinions"]] == [
            ("ann", "proposal", "Write our own."),
            ("ben", "objection", "No: use lark."),
        ]
        await cats.do("opinion", content="Lark is well kept.", kind="support")
        asked = await anns.vote(agrees=False, reason="Too slow.", amendment="Only for tests.")
        assert (asked["round"], asked["proposal"], len(asked["opinions"])) == (1, "Use lark.", 3)
        await bens.vote(agrees=True)
        await cats.vote(agrees=False, reason="Let us measure first.")

        asked = await anns.next("opinion_request")
        assert asked["round"] == 2
        assert asked["before"][:3] == [
            "The round before voted on:",
            "Use lark.",
            "- ann disagreed: Too slow. (would change: Only for tests.)",
        ]
        await anns.do("opinion", content="Lark, if it parses 1 MB/s.", kind="proposal")
        await cats.say()
        await bens.say()
        await anns.vote(agrees=True)
        await cats.vote(agrees=True)
        await bens.vote(agrees=False, reason="It was good as it was.")

        told = await watching.hear("meeting_completed")
        assert [one["event"] for one in told] == [
            "discussion_started",
            *["opinion_presented"] * 3,
            "round_completed",
            *["opinion_presented"] * 3,
            "round_completed",
            "consensus_reached",
            "meeting_completed",
        ]
        assert told[1]["data"]["opinion"]["content"] == "Write our own."
        assert told[-2]["data"]["decision"]["decision"] == "Lark, if it parses 1 MB/s."
        assert [one["seq"] for one in told] == sorted({one["seq"] for one in told})
        assert {one["meeting_id"] for one in told} == {made["id"]}
        assert await anns.hear("meeting_completed") == told
    whole = await show(live, made)
    assert (whole["outcome"], len(whole["decision"]["dissent"])) == ("consensus", 1)
    requests = [one for one in await inbox(ann) if one["ack_required"]]
    assert [one["status"] for one in requests] == ["acked"] * 4


async def test_a_line_that_breaks_in_a_turn_is_taken_up_again(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, ann, meeting) as first:
        asked = await first.next("opinion_request")
        seen = first.connected["seq"]
        first.raw.transport.abort()
    async with seat(live, ann, meeting, after=seen) as again:
        assert await again.next("opinion_request") == asked, "it is asked again"
        assert (await again.do("opinion", content="Here I am."))["type"] == "accepted"
        presented = await again.next("meeting_event")
        seen = presented["seq"]
    await say(ben, meeting)
    await vote(ben, meeting)
    async with seat(live, ann, meeting, after=seen) as again:
        frames = [await again.next("meeting_event", "consensus_request") for _ in range(2)]
        assert [frame["type"] for frame in frames] == ["meeting_event", "consensus_request"]
        assert frames[0]["event"] == "opinion_presented"
        assert frames[0]["data"]["opinion"]["agent_name"] == "ben"
        done = await again.do("consensus_vote", agrees=True, idempotency_key="v-1")
        assert done["type"] == "accepted"
        again.raw.transport.abort()
    async with seat(live, ann, meeting, after=frames[0]["seq"]) as again:
        assert [one["event"] for one in await again.hear("meeting_completed")] == [
            "round_completed",
            "consensus_reached",
            "meeting_completed",
        ]
        done = await again.do("consensus_vote", agrees=True, idempotency_key="v-1")
        assert done["replayed"]
    whole = await show(live, meeting)
    assert len(whole["rounds"][0]["opinions"]) == 2, "no turn was repeated"
    assert (await types(live, meeting)).count("meeting.opinion_requested") == 2


async def test_a_new_server_asks_again(server: Server, settings: Settings, clock: MovableClock) -> None:
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    with serving(server) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            live = LiveMesh(server, http, token, clock, web)
            ann, ben = await team(live, "ann", "ben")
            meeting = await called(live, ann, ben)
            async with seat(live, ann, meeting) as anns, seat(live, ben, meeting) as bens:
                await anns.say("Before the restart.")
                seen = (await bens.hear("opinion_presented"))[-1]["seq"]
                asked = await bens.next("opinion_request")
                web.should_exit = True
                assert (await bens.until_closed())[1] == 1012
    again = Server(settings, clock)
    with serving(again) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            live = LiveMesh(again, http, token, clock, web)
            ann.http = ben.http = http
            async with seat(live, ben, meeting, after=seen) as bens, seat(live, ann, meeting) as anns:
                repeated = await bens.next("opinion_request")
                assert repeated.pop("due_at") >= asked.pop("due_at"), "later by the server's absence"
                assert repeated == asked
                await bens.do("opinion", content="After it.")
                await bens.vote(agrees=True)
                await anns.vote(agrees=True)
                await anns.hear("meeting_completed")
            opinions = (await show(live, meeting))["rounds"][0]["opinions"]
            assert [one["content"] for one in opinions] == ["Before the restart.", "After it."]


async def test_each_request_is_told_once_on_a_line(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    made = await live.post("/v1/meetings", topic="T", participant_ids=["ann", "ben"])
    start = (await live.get("/v1/events", limit=1))["last_seq"]
    await ann.post(f"/v1/meetings/{made['id']}/start")
    async with seat(live, ann, made, after=start) as anns:
        frames = [await anns.next() for _ in range(2)]
        assert [frame["type"] for frame in frames] == ["meeting_event", "opinion_request"]
        await anns.do("opinion", content="x")
        await say(ben, made)
        await anns.vote(agrees=True)
        await vote(ben, made)
        told = await anns.hear("meeting_completed")
        assert told[-1]["data"]["meeting"]["outcome"] == "consensus"


async def test_who_was_passed_over_comes_back_on_its_line(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ben, ann)
    await ben.post("/v1/agents/ben/leave")
    await live.sweep()
    again = await live.agent("ben")
    async with seat(live, again, meeting) as bens, seat(live, ann, meeting) as anns:
        assert (await bens.do("opinion", content="Late."))["code"] == "turn_over"
        assert (await bens.do("join", max_chars=1_000))["type"] == "accepted"
        await anns.say("word " * 1_000)
        asked = await bens.next("opinion_request")
        assert len(asked["opinions"][0]["content"]) <= 1_000
        assert (await bens.do("leave"))["type"] == "accepted"
        told = await anns.hear("agent_left")
        assert [one["event"] for one in told] == ["agent_joined", "opinion_presented", "agent_left"]
        assert told[0]["data"]["agent_name"] == "ben"


async def test_a_meeting_that_is_called_off_is_told(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(ann, ann, ben)
    async with seat(live, ben, meeting) as bens:
        await ann.post(f"/v1/meetings/{meeting['id']}/cancel", reason="not needed")
        told = await bens.hear("meeting_cancelled")
        assert told[-1]["data"]["meeting"]["reason"] == "not needed"


# -- what is refused, and changes nothing ----------------------------------------------------------


async def state(live: LiveMesh, meeting: Any) -> tuple[Any, int]:
    """The meeting, all that was said in it, and how many messages there are."""
    kept = (await live.get("/v1/messages", limit=200))["items"]
    return await show(live, meeting), len(kept)


async def test_malformed_frames_are_answered_and_change_nothing(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    right = {"type": "opinion", "id": "x-1", "meeting_id": meeting["id"], "content": "x"}
    wrong: list[tuple[Any, str, str | None]] = [
        ("", "body", None),
        ("{", "body", None),
        ("[]", "body", None),
        (b"\xff\xfe", "body", None),
        ({"type": "nonsense", "id": "x-1"}, "body", "x-1"),
        ({"type": "subscribe", "id": "x-1"}, "body", "x-1"),
        (right | {"content": ""}, "content", "x-1"),
        (right | {"content": 5}, "content", "x-1"),
        (right | {"content": "x" * (limits.OPINION_CHARS_MAX + 1)}, "content", "x-1"),
        (right | {"content": "\0"}, "content", "x-1"),
        (right | {"kind": "shout"}, "kind", "x-1"),
        (right | {"kind": "proposal", "content": "x" * (limits.PROPOSAL_CHARS_MAX + 1)}, "body", "x-1"),
        (right | {"colour": "red"}, "colour", "x-1"),
        (right | {"round": "1"}, "round", "x-1"),
        (right | {"meeting_id": "nonsense"}, "meeting_id", "x-1"),
        ({"type": "opinion", "content": "x"}, "meeting_id", None),
        (right | {"id": "\n"}, "id", "\n"),
        (right | {"idempotency_key": "ä"}, "idempotency_key", "x-1"),
        ({"type": "consensus_vote", "meeting_id": meeting["id"]}, "agrees", None),
        ({"type": "consensus_vote", "meeting_id": meeting["id"], "agrees": "yes"}, "agrees", None),
        ({"type": "direct_message", "meeting_id": meeting["id"], "content": "x"}, "receiver_id", None),
        (
            {"type": "direct_message", "meeting_id": meeting["id"], "receiver_id": "*", "content": "x"},
            "receiver_id",
            None,
        ),
        (
            {"type": "direct_message", "meeting_id": meeting["id"], "receiver_id": "#a", "content": "x"},
            "receiver_id",
            None,
        ),
    ]
    async with seat(live, ann, meeting) as anns:
        await anns.next("opinion_request")
        before = await state(live, meeting)
        for sent, field, id_ in wrong:
            await anns.raw.send(sent if isinstance(sent, str | bytes) else json.dumps(sent))
            told = await anns.next("error", "accepted")
            assert (told["type"], told.get("code"), told.get("id")) == ("error", "invalid_request", id_), sent
            assert told["errors"][0]["field"] == field, sent
            assert {"title", "status", "detail", "hint", "trace_id"} <= told.keys()
        await anns.raw.send(json.dumps(right | {"padding": "x" * limits.MEETING_FRAME_CHARS_MAX}))
        assert (await anns.next("error"))["code"] == "too_large"
        await anns.send("auth", token=ann.token)
        assert (await anns.next("error"))["code"] == "unexpected_frame"
        assert (await anns.do("opinion", meeting_id=NOTHING, content="x"))["code"] == "another_meeting"
        assert await state(live, meeting) == before
        await anns.send("ping")
        await anns.next("pong")
        await anns.send("pong")
        assert (await anns.do("opinion", content="x" * limits.OPINION_CHARS_MAX))["type"] == "accepted"


async def test_what_is_out_of_turn_or_from_outside_changes_nothing(live: LiveMesh) -> None:
    ann, ben, eve = await team(live, "ann", "ben", "eve")
    meeting = await called(live, ann, ben)
    async with (
        seat(live, ann, meeting) as anns,
        seat(live, ben, meeting) as bens,
        seat(live, eve, meeting) as eves,
    ):

        async def refused(who: Seat, code: str, type_: str, **fields: Any) -> Any:
            before = await state(live, meeting)
            told = await who.do(type_, id="mine", **fields)
            assert (told["type"], told.get("code"), told["id"]) == ("error", code, "mine")
            assert await state(live, meeting) == before
            return told

        told = await refused(bens, "not_your_turn", "opinion", content="Me first.")
        assert told["speaker"] == "ann"
        await refused(bens, "not_voting", "consensus_vote", agrees=True)
        await refused(eves, "not_a_participant", "opinion", content="Hear me.")
        await refused(eves, "not_a_participant", "consensus_vote", agrees=True)
        await refused(eves, "not_a_participant", "leave")
        await refused(anns, "turn_over", "opinion", content="Too soon.", round=2)
        await refused(anns, "recipient_not_found", "direct_message", receiver_id="nobody", content="x")
        await anns.say()
        told = await refused(anns, "turn_over", "opinion", content="And another thing.")
        assert told["happened"] == "spoke"
        await bens.say()
        await refused(eves, "not_a_participant", "consensus_vote", agrees=False)
        await anns.vote(agrees=True)
        await refused(anns, "already_voted", "consensus_vote", agrees=False)
        await bens.vote(agrees=True)
        await bens.hear("meeting_completed")
        await refused(bens, "meeting_status", "opinion", content="One more.")
        await refused(anns, "meeting_status", "consensus_vote", agrees=False)
    assert (await show(live, meeting))["outcome"] == "consensus"


@pytest.mark.settings(messages_per_minute=3)
async def test_the_rate_limit_holds_on_sockets(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, ann, meeting) as anns:
        codes = [
            (await anns.do("direct_message", receiver_id="ben", content="x")).get("code") for _ in range(8)
        ]
        assert codes[0] is None
        assert codes[-1] == "rate_limited"


# -- who gets in -----------------------------------------------------------------------------------


async def test_the_first_frame_may_say_who_speaks(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, None, meeting, ready=False) as anns:
        await anns.send("auth", token=ann.token)
        assert (await anns.next())["agent_id"] == ann.id
        await anns.say()
    async with seat(live, None, meeting, ready=False, agent_id="ben") as bens:
        await bens.send("auth", token=live.token)
        assert (await bens.next())["agent_id"] == ben.id
        await bens.say()
    async with seat(live, live, meeting, headers={"X-Repomesh-Agent": "ben"}) as bens:
        await bens.vote(agrees=True)


async def test_who_is_not_let_in_is_told_why(live: LiveMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, ben = await team(live, "ann", "ben")
    observer = await live.observer()
    revoked = await live.agent("eve")
    assert revoked.registration is not None
    await live.delete(f"/v1/tokens/{revoked.registration['token_id']}")
    meeting = await called(live, ann, ben)
    nowhere, odd = {"id": NOTHING}, {"id": "nonsense"}
    before = await state(live, meeting)
    last = (await live.get("/v1/events", limit=1))["last_seq"]
    cases: list[tuple[Speaker | None, Any, dict[str, Any], int, str]] = [
        (Speaker(live.http, "nonsense"), meeting, {}, 4401, "unauthenticated"),
        (revoked, meeting, {}, 4401, "token_revoked"),
        (ann, meeting, {"agent_id": "ben"}, 4403, "forbidden"),
        (ann, meeting, {"headers": {"X-Repomesh-Agent": "ben"}}, 4403, "forbidden"),
        (live, meeting, {"agent_id": "ben", "headers": {"X-Repomesh-Agent": "ann"}}, 4403, "forbidden"),
        (observer, meeting, {"agent_id": "ann"}, 4403, "forbidden"),
        (live, meeting, {"agent_id": "nobody"}, 4404, "agent_not_found"),
        (live, meeting, {"agent_id": "no one"}, 4400, "invalid_request"),
        (ann, meeting, {"after": -1}, 4400, "invalid_request"),
        (ann, meeting, {"after": last + 100}, 4400, "position_ahead"),
        (None, meeting, {"token": ann.token}, 4400, "invalid_request"),
        (ann, nowhere, {}, 4404, "meeting_not_found"),
        (ann, odd, {}, 4400, "invalid_request"),
    ]
    for speaker, where, options, code, reason in cases:
        async with seat(live, speaker, where, ready=False, **options) as wire:
            frames, closed, why = await wire.until_closed()
            assert (closed, why) == (code, reason), (speaker, options, frames)
            assert [frame.get("code") for frame in frames] == [reason]
            assert ann.token not in json.dumps(frames)
    async with seat(live, None, meeting, ready=False) as wire:
        await wire.send("opinion", meeting_id=meeting["id"], content="x")
        _frames, closed, why = await wire.until_closed()
        assert (closed, why) == (4401, "unauthenticated")
    monkeypatch.setattr(limits, "SOCKET_AUTH_S", 0.05)
    async with seat(live, None, meeting, ready=False) as wire:
        assert (await wire.until_closed())[1:] == (4401, "unauthenticated")
    monkeypatch.setattr(limits, "STREAM_SUBSCRIBERS_MAX", 0)
    async with seat(live, ann, meeting, ready=False) as wire:
        assert (await wire.until_closed())[1:] == (1013, "too_many_streams")
    assert await state(live, meeting) == before


async def test_who_may_only_watch_says_nothing(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    observer = await live.observer()
    meeting = await called(live, ann, ben)
    said: list[tuple[str, dict[str, Any]]] = [
        ("opinion", {"content": "x"}),
        ("consensus_vote", {"agrees": True}),
        ("direct_message", {"receiver_id": "ann", "content": "x"}),
        ("join", {}),
        ("leave", {}),
    ]
    for watcher, code in ((observer, "forbidden"), (live, "agent_required")):
        async with seat(live, watcher, meeting) as watching:
            before = await state(live, meeting)
            for type_, fields in said:
                assert (await watching.do(type_, **fields))["code"] == code
            assert await state(live, meeting) == before
    async with seat(live, observer, meeting) as watching, seat(live, ann, meeting) as anns:
        await anns.say("Heard by all.")
        await anns.do("direct_message", receiver_id="ben", content="For ben alone.")
        await say(ben, meeting)
        for _ in range(2):
            assert (await watching.next())["event"] == "opinion_presented"


async def test_a_place_that_is_pruned_is_refused(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    last = (await live.get("/v1/events", limit=1))["last_seq"]
    await live.post("/v1/log/prune", before=last)
    async with seat(live, ann, meeting, ready=False, after=1) as wire:
        frames, code, reason = await wire.until_closed()
        assert (code, reason) == (4410, "gone")
        assert frames[0]["oldest_seq"] >= last
    async with seat(live, ann, meeting) as anns:
        await anns.say()


Revoke = Callable[[LiveMesh, Speaker], Awaitable[Any]]


async def _revoke(live: LiveMesh, ann: Speaker) -> None:
    assert ann.registration is not None
    await live.delete(f"/v1/tokens/{ann.registration['token_id']}")


async def _take_over(live: LiveMesh, ann: Speaker) -> None:
    await live.agent("ann", force=True)


@pytest.mark.parametrize("revoke", [_revoke, _take_over])
async def test_a_token_that_is_revoked_takes_its_seat_with_it(live: LiveMesh, revoke: Revoke) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, ann, meeting) as anns, seat(live, ben, meeting) as bens:
        await anns.next("opinion_request")
        await revoke(live, ann)
        assert (await anns.until_closed())[1:] == (4401, "token_revoked")
        await bens.send("ping")
        await bens.next("pong")


class Bulk(Model):
    """What a long message looks like in its event."""

    id: str = NOTHING
    sender_id: str | None = None
    sender_name: str = "ann"
    topic: str
    body: str
    truncated: bool = False


async def flood(live: LiveMesh, meeting: Any, reader: Speaker) -> None:
    """More than the buffers of two sockets, the client's and ours hold together."""
    caller = system_caller((await live.get("/v1/workspace"))["id"])
    data = Bulk(topic=f"meeting/{meeting['id']}", body="x" * 90_000)
    audience = Audience("agents", (reader.id,))
    for _ in range(60):
        work = [NewEvent(MESSAGE_SENT, "test", data, audience, recipient_id=reader.id) for _ in range(5)]
        await live.server.store.write(caller, RequestContext(), lambda tx, w=work: [*map(tx.emit, w)])


async def test_a_slow_consumer_is_closed_with_where_to_go_on(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_BUFFER_EVENTS", 20)
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, ben, meeting, max_queue=1) as slow:
        start = slow.connected["seq"]
        await flood(live, meeting, ben)
        frames, code, reason = await slow.until_closed()
    assert code == 4008
    received = [frame["seq"] for frame in frames if frame["type"] == "direct_message"]
    assert reason == f"resume_after={received[-1]}"
    monkeypatch.undo()
    last = (await live.get("/v1/events", limit=1))["last_seq"]
    async with seat(live, ben, meeting, after=received[-1]) as again:
        while received[-1] < last:
            received.append((await again.next("direct_message"))["seq"])
    assert received == list(range(start + 1, last + 1))


async def test_a_server_that_stops_ends_its_seats(live: LiveMesh) -> None:
    ann, ben = await team(live, "ann", "ben")
    meeting = await called(live, ann, ben)
    async with seat(live, ann, meeting) as anns:
        live.web.should_exit = True
        assert (await anns.until_closed())[1] == 1012


# -- direct messages, and who is there -------------------------------------------------------------


@pytest.mark.settings(messages_per_minute=1_000)
async def test_twenty_clients_send_ten_messages_each_and_all_arrive_in_order(live: LiveMesh) -> None:
    agents = await team(live, *(f"agent-{number:02}" for number in range(20)))
    meeting = await called(live, *agents)

    async def work(number: int, taken: Seat) -> list[tuple[str, str]]:
        """Send ten to the next three in turn, and receive the ten that come."""
        for count in range(10):
            receiver = agents[(number + 1 + count % 3) % 20]
            await taken.send(
                "direct_message",
                meeting_id=meeting["id"],
                id=f"m-{count}",
                receiver_id=receiver.id,
                content=f"{count}",
            )
        accepted: list[str] = []
        received: list[tuple[str, str]] = []
        while len(received) < 10 or len(accepted) < 10:
            frame = await taken.next("direct_message", "accepted", timeout_s=60)
            if frame["type"] == "accepted":
                accepted.append(frame["id"])
            else:
                received.append((frame["sender_name"], frame["content"]))
        assert accepted == [f"m-{count}" for count in range(10)]
        return received

    async def run(number: int) -> list[tuple[str, str]]:
        async with seat(live, agents[number], meeting) as taken:
            ready.release()
            await start.wait()
            return await work(number, taken)

    ready, start = asyncio.Semaphore(0), asyncio.Event()
    tasks = [asyncio.create_task(run(number)) for number in range(20)]
    for _ in tasks:
        await ready.acquire()
    start.set()
    found = await asyncio.gather(*tasks)
    assert sum(map(len, found)) == 200
    for number, received in enumerate(found):
        for place in (1, 2, 3):
            sender = agents[(number - place) % 20].name
            expected = [str(count) for count in range(10) if count % 3 == place - 1]
            assert [content for name, content in received if name == sender] == expected
    kept = await inbox(agents[1], topic=f"meeting/{meeting['id']}")
    assert len(kept) == 10


async def test_a_direct_message_is_a_message_like_any_other(live: LiveMesh) -> None:
    ann, ben, cat = await team(live, "ann", "ben", "cat")
    meeting, other = await called(live, ann, ben, cat), await called(live, ann, ben)
    start = (await live.get("/v1/events", limit=1))["last_seq"]
    async with (
        seat(live, ann, meeting) as anns,
        seat(live, ben, meeting) as bens,
        seat(live, cat, meeting) as cats,
        seat(live, ben, other) as elsewhere,
    ):
        done = await anns.do("direct_message", receiver_id="ben", content="A word.", idempotency_key="k")
        again = await anns.do("direct_message", receiver_id="ben", content="A word.", idempotency_key="k")
        assert (again["message_id"], again["replayed"]) == (done["message_id"], True)
        told = await bens.next("direct_message")
        assert told | {"seq": 0, "at": ""} == {
            "type": "direct_message",
            "meeting_id": meeting["id"],
            "message_id": done["message_id"],
            "sender_id": ann.id,
            "sender_name": "ann",
            "receiver_id": ben.id,
            "content": "A word.",
            "truncated": False,
            "seq": 0,
            "at": "",
        }
        await ann.post("/v1/messages", to=["ben"], body="Of nothing.")
        await ann.post("/v1/messages", to=["ben"], body="By HTTP.", topic=f"meeting/{meeting['id']}")
        assert (await bens.next("direct_message"))["content"] == "By HTTP."
        await anns.do("direct_message", meeting_id=meeting["id"], receiver_id="cat", content="For cat.")
        assert (await cats.next("direct_message"))["content"] == "For cat."
        await ann.post("/v1/messages", to=["ben"], body="Elsewhere.", topic=f"meeting/{other['id']}")
        assert (await elsewhere.next("direct_message"))["content"] == "Elsewhere."
    async with seat(live, ben, meeting, after=start) as late:
        contents = [(await late.next("direct_message"))["content"] for _ in range(2)]
        assert contents == ["A word.", "By HTTP."]
    receipts = (await ann.get(f"/v1/messages/{done['message_id']}/receipts"))["items"]
    assert [one["status"] for one in receipts] == ["offered"]
    assert (await ben.post(f"/v1/messages/{done['message_id']}/ack"))["status"] == "acked"


@pytest.mark.settings(agent_inactive_after_s=0.4, sweep_every_s=3_600)
async def test_who_keeps_its_line_open_is_there(live: LiveMesh) -> None:
    ann, ben, cat = await team(live, "ann", "ben", "cat")
    meeting = await called(live, ben, cat, ann)
    async with seat(live, ben, meeting):
        live.clock.advance(1_000)
        for _attempt in range(1_000):
            if (await live.get("/v1/agents/ben"))["last_seen_at"] > meeting["created_at"]:
                await live.sweep()
                statuses = {one["name"]: one["status"] for one in (await live.get("/v1/agents"))["items"]}
                if statuses == {"ann": "inactive", "ben": "active", "cat": "inactive"}:
                    return
        raise AssertionError(statuses)
