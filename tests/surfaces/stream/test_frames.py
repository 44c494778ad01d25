"""Frames that are ready for the wire, and servers that do not take them."""

from __future__ import annotations

import httpx
import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.streams import StreamReader

from clocks import MovableClock
from live import LiveMesh, serving, socket, url_of
from repomesh.app import Server
from repomesh.kernel import limits
from repomesh.kernel.settings import Settings
from repomesh.store import folder
from repomesh.surfaces.stream.wire import text_frame

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_frame_is_what_another_library_reads(length: int) -> None:
    text = b"x" * length
    reader = StreamReader()
    reader.feed_data(text_frame(text))
    parsing = Frame.parse(reader.read_exact, mask=False, max_size=None)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    frame: Frame = parsed.value.value
    assert (frame.fin, int(frame.opcode), bytes(frame.data)) == (True, 1, text)
    reader.feed_eof()
    assert next(reader.at_eof(), None) is None, "nothing is left over"


async def test_many_events_go_out_together_and_arrive_one_by_one(live: LiveMesh) -> None:
    alice = await live.agent("alice")
    async with socket(live, alice) as wire:
        await wire.subscribe(types=["bulk"], after=0)
        longer = limits.STREAM_WRITE_BYTES // 4
        texts = [f"{number}:" + "é" * (longer if number % 7 == 0 else 5) for number in range(40)]
        for text in texts:
            await alice.post("/v1/events", type="bulk.test", data={"text": text})
        received = await wire.events(len(texts))
        assert [event["data"]["text"] for event in received] == texts
        async with socket(live, alice) as late:
            await late.subscribe(types=["bulk"], after=0)
            assert await late.events(len(texts)) == received


async def test_a_server_without_the_extension_gets_texts(
    server: Server, settings: Settings, clock: MovableClock
) -> None:
    token = folder.read_secret(settings.data / folder.TOKEN)
    assert token is not None
    with serving(server, WebSocketsSansIOProtocol) as web:
        async with httpx.AsyncClient(base_url=url_of(web), timeout=30) as http:
            live = LiveMesh(server, http, token, clock, web)
            alice = await live.agent("alice")
            async with socket(live, alice) as wire:
                await wire.subscribe(types=["plain"])
                for number in range(5):
                    await alice.post("/v1/events", type="plain.test", data={"number": number})
                assert [event["data"]["number"] for event in await wire.events(5)] == list(range(5))
