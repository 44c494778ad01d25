"""What is pushed: in order, from where a client left off, as filtered, and only what its reader may see."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from live import LiveMesh, socket, stream
from repomesh.kernel import limits

pytestmark = pytest.mark.anyio

TASK = "0192d5c8-1111-7111-8111-111111111111"


async def post(speaker: Any, n: int, type_: str = "test", **fields: Any) -> int:
    """Post the event `n`; answers its place in the log."""
    seq: int = (await speaker.post("/v1/events", type=type_, data={"n": n}, **fields))["seq"]
    return seq


def numbers(events: list[Any]) -> list[int]:
    return [event["data"]["n"] for event in events]


async def read(events: Any, count: int) -> list[Any]:
    """The data of the next `count` events of a stream, its own frames left out."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            frame = await anext(events)
            if frame["event"] not in ("position", "closed"):
                assert int(frame["id"]) == frame["data"]["seq"]
                assert frame["event"] == frame["data"]["type"]
                found.append(frame["data"])
    return found


async def test_both_push_what_the_list_shows_in_its_order(live: LiveMesh) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    async with socket(live, bob) as wire, stream(bob, type="test") as events:
        await wire.subscribe(types=["test"])
        first = await anext(events)
        assert first["event"] == "position"
        for n in range(20):
            await post(alice, n, "test.deep" if n % 2 else "test")
        listed = (await bob.get("/v1/events", type="test"))["items"]
        assert numbers(listed) == list(range(20))
        assert await wire.events(20) == listed
        assert await read(events, 20) == listed


async def test_a_client_that_comes_back_goes_on_where_it_stopped(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    seen = [await post(alice, n) for n in range(6)][2]
    async with stream(alice, type="test", after=0) as events:
        assert numbers(await read(events, 6)) == [0, 1, 2, 3, 4, 5]
    async with stream(alice, {"Last-Event-ID": str(seen)}, type="test", after=0) as events:
        assert numbers(await read(events, 3)) == [3, 4, 5]
    async with socket(live, alice) as wire:
        assert await wire.subscribe(types=["test"], after=seen) == seen
        assert numbers(await wire.events(3)) == [3, 4, 5]
        await wire.send("resume", id="all", after=seen + 1)
        assert (await wire.next("subscribed"))["position"] == seen + 1
        assert numbers(await wire.events(2)) == [4, 5]


async def test_streams_are_narrowed_like_the_list(live: LiveMesh) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    start = await post(alice, 0, "test.chat", severity="warning")
    await post(bob, 1, "test.chatter", task_id=TASK)
    await post(alice, 2, "test.chat.message", recipient_id="bob", correlation_id="c-1")
    at = (await live.get("/v1/events", type="test", correlation_id="c-1"))["items"][0]["at"]
    asked: list[tuple[dict[str, Any], list[int]]] = [
        ({"type": ["test.chat"]}, [0, 2]),
        ({"type": ["test.chat.message", "test.chatter"]}, [1, 2]),
        ({"type": ["test"], "agent_id": bob.id}, [1]),
        ({"type": ["test"], "recipient_id": bob.id}, [2]),
        ({"task_id": TASK}, [1]),
        ({"severity": "warning"}, [0]),
        ({"correlation_id": "c-1"}, [2]),
        ({"type": ["test"], "since": at}, [2]),
        ({"type": ["test"], "until": at}, [0, 1]),
    ]
    async with socket(live, bob) as wire:
        for number, (criteria, found) in enumerate(asked):
            async with stream(bob, after=start - 1, **criteria) as events:
                assert numbers(await read(events, len(found))) == found
            renamed = {"types" if name == "type" else name: value for name, value in criteria.items()}
            await wire.subscribe(str(number), after=start - 1, **renamed)
            assert numbers(await wire.events(len(found))) == found
            await wire.send("unsubscribe", id=str(number))
            await wire.next("unsubscribed")


async def test_nobody_receives_what_is_for_another(live: LiveMesh) -> None:
    alice, bob, carol = [await live.agent(name) for name in ("alice", "bob", "carol")]
    observer = await live.observer()
    start = await post(alice, 0)
    async with (
        socket(live, carol) as carols,
        socket(live, observer) as observers,
        socket(live, bob) as bobs,
        stream(carol, after=start) as carols_stream,
        stream(observer, after=start) as observers_stream,
        stream(alice, after=start) as alices_stream,
        stream(live, after=start, type="test") as owners_stream,
    ):
        for wire in (carols, observers, bobs):
            await wire.subscribe("now", types=["test"])
            await wire.subscribe("past", types=["test"], after=start)
        await post(alice, 1, "test", recipient_id="bob")
        await post(alice, 2)
        for wire in (carols, observers):
            assert numbers(await wire.events(2)) == [2, 2]
        assert sorted(numbers(await bobs.events(4))) == [1, 1, 2, 2]
        for events, found in ((carols_stream, [2]), (observers_stream, [2]), (alices_stream, [1, 2])):
            assert numbers(await read(events, len(found))) == found
        assert numbers(await read(owners_stream, 2)) == [1, 2]


async def test_a_stream_of_what_is_rare_tells_how_far_it_is(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_POSITION_EVERY_S", 0.02)
    alice = await live.agent("alice")
    async with socket(live, alice) as wire, stream(alice, type="rare") as events:
        await wire.subscribe(types=["rare"])
        last = await post(alice, 0)
        async with asyncio.timeout(10):
            while (await wire.next("position"))["seq"] < last:
                pass
            while int((await anext(events))["id"]) < last:
                pass


async def test_a_place_that_is_gone_or_never_was_is_refused(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    last = await post(alice, 0)
    await live.post("/v1/log/prune", before=last)
    refusals = [
        ({"after": 1}, 410, "gone"),
        ({"after": last + 100}, 422, "position_ahead"),
        ({"channel": "nowhere"}, 404, "channel_not_found"),
        ({"task_id": "nonsense"}, 422, "invalid_request"),
        ({"unknown": 1}, 422, "invalid_request"),
    ]
    async with socket(live, alice) as wire:
        for criteria, status, code in refusals:
            with pytest.raises(httpx.HTTPStatusError) as refused:
                async with stream(alice, **criteria):
                    pass
            assert refused.value.response.status_code == status
            problem = refused.value.response.json()
            assert problem["code"] == code
            await wire.send("subscribe", id="all", **criteria)
            frame = await wire.next("error")
            assert (frame["code"], frame["subscription"], frame["status"]) == (code, "all", status)
        assert frame["errors"][0]["field"] == "unknown"
        assert await wire.subscribe(after=last - 1) == last - 1
    response = await alice.request("GET", "/v1/stream", headers={"Last-Event-ID": "nonsense"})
    assert response.json()["errors"][0]["field"] == "after"
    assert (await live.anonymous().request("GET", "/v1/stream")).status_code == 401
    assert (await alice.request("POST", "/v1/stream")).status_code == 405
