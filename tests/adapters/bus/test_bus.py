"""The port of the bus: hints from any thread reach the loop, none is left lying."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest

from repomesh.adapters.bus.choice import BUSES, open_bus
from repomesh.adapters.bus.port import Bus
from repomesh.kernel.settings import BusName, Settings

pytestmark = pytest.mark.anyio


@pytest.fixture(params=sorted(BUSES))
def bus(request: pytest.FixtureRequest) -> Bus:
    return open_bus(Settings(bus=request.param))


def test_every_bus_that_may_be_chosen_can_be_made() -> None:
    assert set(BUSES) == set(get_args(BusName))


async def test_hints_from_many_threads_come_together(bus: Bus) -> None:
    heard: dict[str, int] = {}
    bus.subscribe(lambda workspace, seq: heard.update({workspace: max(seq, heard.get(workspace, 0))}))
    bus.publish("early", 1)  # nobody listens yet: the tails poll
    await bus.start()
    with ThreadPoolExecutor(8) as pool:
        for seq in range(400):
            pool.submit(bus.publish, f"w{seq % 4}", seq)
    await asyncio.sleep(0.01)
    assert heard == {"w0": 396, "w1": 397, "w2": 398, "w3": 399}
    await bus.stop()
    bus.publish("w0", 500)
    await asyncio.sleep(0)
    assert heard["w0"] == 396


def test_a_bus_that_starts_again_delivers_again(bus: Bus) -> None:
    """A hint that was never delivered, because its loop had ended, must not block those that follow."""
    heard: list[int] = []
    bus.subscribe(lambda _workspace, seq: heard.append(seq))

    ended = asyncio.new_event_loop()
    ended.run_until_complete(bus.start())
    bus.publish("w", 1)
    ended.close()

    async def again() -> None:
        await bus.start()
        bus.publish("w", 2)
        await asyncio.sleep(0.01)

    asyncio.run(again())
    assert heard == [2]
