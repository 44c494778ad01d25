"""Sockets: who gets in, what is said on them, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from harness import Speaker
from live import LiveMesh, Wire, opened, socket, stream
from repomesh.kernel import limits
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Model
from repomesh.store.log import NewEvent

pytestmark = pytest.mark.anyio


class Bulk(Model):
    """Much data."""

    text: str


async def closing(wire: Wire) -> tuple[int, str]:
    """The code and reason with which the server closes; frames before are left out."""
    _frames, code, reason = await wire.until_closed()
    return code, reason


async def test_the_first_frame_may_say_who_speaks(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, None) as wire:
        await wire.send("auth", token=alice.token)
        assert (await wire.next("ready"))["agent_id"] == alice.id
        await wire.subscribe(after=0)
        assert (await wire.events(1))[0]["actor"] == alice.id
    async with socket(live, None) as wire:
        await wire.send("auth", token=live.token, agent="alice")
        assert (await wire.next("ready"))["agent_id"] == alice.id
        await wire.send("auth", token=live.token)
        assert (await wire.next("error"))["code"] == "unexpected_frame"
    async with socket(live, live, headers={"X-Repomesh-Agent": "alice"}) as wire:
        await wire.subscribe()


async def test_a_header_that_names_no_agent_closes_the_socket_with_the_reason(live: LiveMesh) -> None:
    async with opened(live, "/v1/ws", live, headers={"X-Repomesh-Agent": "a b"}) as wire:
        [frame], code, _reason = await wire.until_closed()
    assert "X-Repomesh-Agent" in json.dumps(frame)
    assert 4400 <= code < 4500


async def test_who_is_not_let_in_is_told_why(live: LiveMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = await live.observer()
    await live.agent("alice")
    first_frames: list[tuple[dict[str, Any], int, str]] = [
        ({"type": "auth", "token": "nonsense"}, 4401, "unauthenticated"),
        ({"type": "ping"}, 4401, "unauthenticated"),
        ({"type": "auth"}, 4401, "invalid_request"),
        ({"type": "auth", "token": observer.token, "agent": "alice"}, 4403, "forbidden"),
        ({"type": "auth", "token": live.token, "agent": "nobody"}, 4403, "agent_not_found"),
    ]
    for frame, code, reason in first_frames:
        async with socket(live, None) as wire:
            await wire.raw.send(json.dumps(frame))
            assert (await wire.next("error"))["code"] == reason
            assert await closing(wire) == (code, reason)
    async with socket(live, None, headers={"Authorization": "Bearer nonsense"}) as wire:
        assert await closing(wire) == (4401, "unauthenticated")
    monkeypatch.setattr(limits, "SOCKET_AUTH_S", 0.05)
    async with socket(live, None) as wire:
        assert await closing(wire) == (4401, "unauthenticated")
    with pytest.raises(InvalidStatus):
        async with socket(live, None, origin="https://evil.example"):
            pass


async def test_a_frame_that_makes_no_sense_is_answered_and_changes_nothing(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, alice) as wire:
        await wire.subscribe()
        refusals: list[tuple[str | bytes, str]] = [
            ("", "invalid_request"),
            ("{", "invalid_request"),
            ("[]", "invalid_request"),
            ("null", "invalid_request"),
            (b"\xff\xfe", "invalid_request"),
            ('{"type": "nonsense"}', "invalid_request"),
            ('{"type": "subscribe"}', "invalid_request"),
            ('{"type": "subscribe", "id": "x", "after": "1"}', "invalid_request"),
            ('{"type": "subscribe", "id": "x", "after": -1}', "invalid_request"),
            ('{"type": "subscribe", "id": "\\"", "after": 1}', "invalid_request"),
            ('{"type": "subscribe", "id": "all"}', "subscription_taken"),
            ('{"type": "unsubscribe", "id": "other"}', "subscription_not_found"),
            ('{"type": "resume", "id": "other", "after": 0}', "subscription_not_found"),
            (json.dumps({"type": "ping", "padding": "x" * 70_000}), "too_large"),
        ]
        for sent, code in refusals:
            await wire.raw.send(sent)
            frame = await wire.next()
            assert (frame["type"], frame["code"]) == ("error", code)
            assert {"title", "status", "detail", "hint", "trace_id"} <= frame.keys()
        await wire.send("ping")
        assert await wire.next() == {"type": "pong"}
        await alice.post("/v1/events", type="test")
        assert (await wire.events(1))[0]["type"] == "test"


async def test_a_socket_carries_a_bounded_number_of_subscriptions(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, alice) as wire:
        for number in range(limits.SOCKET_SUBSCRIPTIONS_MAX):
            await wire.subscribe(str(number), types=["test"])
        await wire.send("subscribe", id="more")
        assert (await wire.next("error"))["code"] == "too_many_subscriptions"
        await wire.send("unsubscribe", id="0")
        await wire.next("unsubscribed")
        await wire.subscribe("more", types=["other"])
        await alice.post("/v1/events", type="test")
        frames = [await wire.next("event") for _ in range(limits.SOCKET_SUBSCRIPTIONS_MAX - 1)]
        assert {frame["subscription"] for frame in frames} == {
            str(number) for number in range(1, limits.SOCKET_SUBSCRIPTIONS_MAX)
        }


Revoke = Callable[[LiveMesh, Speaker], Awaitable[Any]]


async def _revoke(live: LiveMesh, alice: Speaker) -> None:
    assert alice.registration is not None
    await live.delete(f"/v1/tokens/{alice.registration['token_id']}")


async def _take_over(live: LiveMesh, alice: Speaker) -> None:
    await live.agent("alice", force=True)


async def _leave(live: LiveMesh, alice: Speaker) -> None:
    await alice.post("/v1/agents/alice/leave")


@pytest.mark.parametrize("revoke", [_revoke, _take_over, _leave])
async def test_a_token_that_is_revoked_takes_its_sockets_and_streams_with_it(
    live: LiveMesh, revoke: Revoke
) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    async with (
        socket(live, alice) as idle,
        socket(live, alice) as busy,
        socket(live, bob) as bobs,
        stream(alice) as events,
    ):
        await busy.subscribe()
        await bobs.subscribe(types=["test"])
        await anext(events)
        await revoke(live, alice)
        assert await closing(idle) == (4401, "token_revoked")
        assert await closing(busy) == (4401, "token_revoked")
        async with asyncio.timeout(10):
            frames = [frame async for frame in events]
        assert (frames[-1]["event"], frames[-1]["data"]["code"]) == ("closed", "token_revoked")
        await bob.post("/v1/events", type="test")
        assert len(await bobs.events(1)) == 1


async def test_a_workspace_that_is_removed_takes_its_sockets_with_it(live: LiveMesh) -> None:
    made = await live.post("/v1/workspaces", name="other")
    other = Speaker(live.http, made["token"])
    async with socket(live, other) as wire, stream(other) as events:
        await wire.subscribe()
        await live.delete(f"/v1/workspaces/{made['workspace']['id']}")
        assert await closing(wire) == (4401, "token_revoked")
        async with asyncio.timeout(10):
            frames = [frame async for frame in events]
        assert frames[-1]["event"] == "closed"


async def flood(live: LiveMesh) -> None:
    """More events than the buffers of two sockets, the client's and ours hold together."""
    caller = system_caller((await live.get("/v1/workspace"))["id"])
    for _ in range(60):
        work = [NewEvent("bulk", "test", Bulk(text="x" * 90_000)) for _ in range(5)]
        await live.server.store.write(caller, RequestContext(), lambda tx, w=work: [*map(tx.emit, w)])


async def nobody_is_counted(live: LiveMesh) -> bool:
    """Whether the server soon holds no stream and no socket any more."""
    for _attempt in range(1_000):
        if "repomesh_stream_subscribers 0.0" in (await live.request("GET", "/metrics")).text:
            return True
    return False


async def test_a_client_that_never_reads_again_is_given_up(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_BUFFER_EVENTS", 20)
    monkeypatch.setattr(limits, "STREAM_CLOSE_S", 0.1)
    alice = await live.agent("alice")
    async with socket(live, alice, max_queue=1) as dead, stream(alice, type="bulk"):
        await dead.subscribe(types=["bulk"])
        await flood(live)
        assert await nobody_is_counted(live)
        dead.raw.transport.abort()


async def test_a_slow_consumer_is_closed_and_loses_nothing(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_BUFFER_EVENTS", 20)
    alice = await live.agent("alice")
    async with socket(live, alice, max_queue=1) as slow, stream(alice, type="bulk") as events:
        start = await slow.subscribe(types=["bulk"])
        await anext(events)
        await flood(live)
        last = (await live.get("/v1/events", limit=1))["last_seq"]
        pushed, code, reason = await slow.until_closed()
        received = [frame["event"]["seq"] for frame in pushed]
        assert code == 4008
        resume_after = int(reason.removeprefix("resume_after="))
        assert resume_after == received[-1]

        async with asyncio.timeout(20):
            frames = [frame async for frame in events]
        assert frames[-1]["event"] == "closed"
        assert frames[-1]["data"]["code"] == "slow_consumer"
        assert frames[-1]["data"]["resume_after"] == int(frames[-2]["id"])

    monkeypatch.undo()
    async with socket(live, alice) as again:
        await again.subscribe(types=["bulk"], after=resume_after)
        received += [event["seq"] for event in await again.until(last)]
    assert received == list(range(start + 1, last + 1))


async def test_streams_and_sockets_are_counted_and_leave_nothing_behind(
    live: LiveMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STREAM_SUBSCRIBERS_MAX", 2)
    alice = await live.agent("alice")
    async with socket(live, alice) as wire, stream(alice):
        await wire.subscribe()
        with pytest.raises(httpx.HTTPStatusError) as refused:
            async with stream(alice):
                pass
        assert refused.value.response.status_code == 503
        async with opened(live, "/v1/ws", alice) as third:
            assert await closing(third) == (1013, "too_many_streams")
    assert await nobody_is_counted(live)


async def test_streams_and_sockets_of_one_agent_are_few(
    live: LiveMesh,
) -> None:
    alice, bob = await live.agent("alice"), await live.agent("bob")
    async with AsyncExitStack() as open_ones:
        wire = await open_ones.enter_async_context(socket(live, alice))
        await wire.subscribe()
        for _ in range(limits.STREAMS_PER_CALLER_MAX - 1):
            await open_ones.enter_async_context(stream(alice))
        async with opened(live, "/v1/ws", alice) as one_more:
            assert await closing(one_more) == (1013, "too_many_streams")
        async with stream(bob):
            pass
    assert await nobody_is_counted(live)
    async with stream(alice):
        pass


async def test_a_server_that_stops_ends_its_streams(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, alice) as wire, stream(alice) as events:
        await wire.subscribe()
        await anext(events)
        live.web.should_exit = True
        code, _reason = await closing(wire)  # the web server or ours, whoever is first
        assert code == 1012
        async with asyncio.timeout(10):
            frames = [frame async for frame in events]
        assert frames[-1]["data"]["code"] == "server_stopping"


async def test_a_frame_with_a_key_twice_is_refused_and_the_socket_goes_on(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, alice) as wire:
        await wire.raw.send('{"type": "ping", "type": "pong"}')
        assert (await wire.next("error"))["code"] == "duplicate_key"
        await wire.send("ping")
        await wire.next("pong")
