"""Waits for work that must not be left half done when the server stops or a check is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def finish_even_if_cancelled(
    work: Awaitable[T], when_cancelled: Callable[[], object] | None = None
) -> T:
    """Return what `work` returns. A cancellation is raised only once `work` has ended.

    Further cancellations meanwhile change nothing. `when_cancelled` is called at each: it may end the work.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            if when_cancelled is not None:
                when_cancelled()
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # else asyncio logs that nobody has looked at it
    raise cancelled
