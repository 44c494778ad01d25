"""Looks at files that others name: a stuck one holds up neither the others nor the end of the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from repomesh.jobs.lookups import FileLookups, LookupFailed
from repomesh.kernel.limits import LOOKUP_THREADS_MAX, LOOKUPS_WAITING_MAX


@pytest.mark.anyio
async def test_it_answers_or_raises_what_the_look_did() -> None:
    lookups = FileLookups("test")
    assert await lookups.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await lookups.run(lambda: 1 // 0)


@pytest.mark.anyio
async def test_stuck_ones_leave_room_for_others_up_to_the_bound() -> None:
    lookups, free = FileLookups("test", 0.05), threading.Event()
    try:
        for _ in range(LOOKUP_THREADS_MAX - 1):
            with pytest.raises(LookupFailed):
                await lookups.run(free.wait)
        assert await lookups.run(lambda: 1) == 1
        with pytest.raises(LookupFailed):
            await lookups.run(free.wait)
        with pytest.raises(LookupFailed):
            await lookups.run(lambda: 1)
    finally:
        free.set()


@pytest.mark.anyio
async def test_no_more_wait_than_the_bound() -> None:
    lookups, free = FileLookups("test", 60.0), threading.Event()
    for _ in range(LOOKUP_THREADS_MAX):
        begun = threading.Event()
        stuck = asyncio.create_task(lookups.run(lambda begun=begun: begun.set() or free.wait()))
        assert await asyncio.to_thread(begun.wait, 30)
    waiting = [asyncio.create_task(lookups.run(free.wait)) for _ in range(LOOKUPS_WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(LookupFailed, match="wait"):
        await lookups.run(lambda: 1)
    free.set()
    assert all(await asyncio.gather(stuck, *waiting))


def test_a_stuck_one_does_not_keep_the_process() -> None:
    code = (
        "import asyncio, time; from repomesh.jobs.lookups import *\n"
        "try: asyncio.run(FileLookups('x', 0.05).run(lambda: time.sleep(600)))\n"
        "except LookupFailed: print('gave up')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "gave up\n"
