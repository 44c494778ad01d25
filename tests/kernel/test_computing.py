"""Answers that take long are made outside of the transaction, one after another."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from repomesh.kernel.computing import Computing
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.limits import COMPUTE_QUEUE_MAX
from repomesh.kernel.operation import Model

pytestmark = pytest.mark.anyio


class Asked(Model):
    """A question."""

    number: int


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_one_after_another_and_no_more_than_can_be_waited_for() -> None:
    computing = Computing()
    go, running = threading.Event(), []

    def compute(gathered: str, request: Asked) -> Any:
        running.append(request.number)
        assert go.wait(30)
        return Asked(number=request.number + len(gathered))

    waiting = [
        asyncio.create_task(computing.run(compute, "four", Asked(number=number)))
        for number in range(COMPUTE_QUEUE_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await computing.run(compute, "four", Asked(number=0))
    waiting[-1].cancel()
    await asyncio.wait(waiting[-1:])
    go.set()
    made = await asyncio.gather(*waiting, return_exceptions=True)
    assert made[:-1] == [Asked(number=number + 4) for number in range(COMPUTE_QUEUE_MAX - 1)]
    assert isinstance(made[-1], asyncio.CancelledError)
    assert running == list(range(COMPUTE_QUEUE_MAX - 1))
    assert await computing.run(compute, "four", Asked(number=1)) == Asked(number=5)
    computing.close()
