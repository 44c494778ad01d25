"""A meeting is replayed as it was, in its order, at the speed that is asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domains.meetings.meeting import called, say, vote
from harness import Refused
from live import LiveMesh

pytestmark = pytest.mark.anyio
NOTHING = "01900000-0000-7000-8000-000000000000"


async def held(live: LiveMesh) -> Any:
    """A meeting that ended, more than a minute of the server's clock after it began."""
    ann, ben = await live.agent("ann"), await live.agent("ben")
    meeting = await called(live, ann, ben)
    live.clock.advance(80)
    await say(ann, meeting, kind="proposal")
    await say(ben, meeting)
    await vote(ann, meeting)
    return await vote(ben, meeting)


async def replay(live: LiveMesh, meeting: Any, last: int | None = None, **params: Any) -> AsyncIterator[Any]:
    """The frames of a replay: event and data."""
    headers = {"Authorization": f"Bearer {live.token}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    path = f"/v1/meetings/{meeting['id']}/replay/stream"
    async with live.http.stream("GET", path, params=params, headers=headers) as response:
        assert response.status_code == 200
        name = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


async def test_a_replay_is_the_list_of_events_and_ends(live: LiveMesh) -> None:
    meeting = await held(live)
    listed = (await live.get(f"/v1/meetings/{meeting['id']}/replay", speed=2_000))["items"]
    assert listed[0]["offset_s"] == 0
    assert listed[-1]["offset_s"] >= 0.04
    frames = [frame async for frame in replay(live, meeting, speed=2_000)]
    assert [data for name, data in frames if name != "end"] == listed
    assert frames[-1] == ("end", {"seq": listed[-1]["seq"]})


async def test_a_replay_goes_on_where_its_reader_stopped(live: LiveMesh) -> None:
    meeting = await held(live)
    whole = [data["seq"] async for name, data in replay(live, meeting, speed=1_000_000)]
    rest = [data["seq"] async for name, data in replay(live, meeting, last=whole[4], speed=0.5)]
    assert rest == whole[5:], "the minute before is not waited for again"


async def test_what_can_not_be_replayed_is_refused(live: LiveMesh) -> None:
    meeting = await held(live)
    for path, params, code in (
        (NOTHING, {}, "meeting_not_found"),
        (meeting["id"], {"speed": 0}, "invalid_request"),
        ("nonsense", {}, "invalid_request"),
    ):
        with pytest.raises(Refused) as refused:
            await live.get(f"/v1/meetings/{path}/replay/stream", **params)
        assert refused.value.code == code
