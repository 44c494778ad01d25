"""A server without workers, for tests that play random histories of synchronous calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from clocks import StillClock
from repomesh.app import Server, prepare
from repomesh.kernel.settings import Settings


@pytest.fixture
def still_clock(settings: Settings) -> Iterator[StillClock]:
    made = StillClock()
    if settings.database_url is not None:
        made.governs(settings.database_url)
    yield made
    made.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def quiet_server(settings: Settings, still_clock: StillClock, runner: asyncio.Runner) -> Iterator[Server]:
    """A server that answers, without any worker."""
    made = Server(settings.model_copy(update={"agent_inactive_after_s": 86_400.0}), still_clock)
    prepare(settings, made.store, "test", None)
    answering = made.without_workers()
    runner.run(answering.__aenter__())
    yield made
    runner.run(answering.__aexit__(None, None, None))
