"""Answers that take seconds to compute: outside of transactions, one after another, on their own thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel

from repomesh.kernel.errors import Unavailable
from repomesh.kernel.limits import COMPUTE_QUEUE_MAX
from repomesh.kernel.operation import Compute
from repomesh.kernel.settings import Settings


class Computing:
    """One thread, so that several such questions never take more than one core from everybody else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "compute")
        self._waiting = 0

    async def result(self, compute: Compute, gathered: Any, request: BaseModel) -> BaseModel:
        """What `compute` makes of what was gathered; raises Unavailable when too many wait for theirs."""
        if self._waiting >= COMPUTE_QUEUE_MAX:
            raise Unavailable(f"{self._waiting} answers that take long are being computed")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            made: BaseModel = await loop.run_in_executor(
                self._thread, compute, gathered, request, self._settings
            )
            return made
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
