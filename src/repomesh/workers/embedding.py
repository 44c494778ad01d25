"""Embedding: gives memories their vectors behind the commands, where an endpoint for them is configured."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import cast

import structlog

from repomesh.domains.sessions.vectors import MemoriesEmbedded
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.embedding")


class Embedding:
    """Looks every `every_s` seconds for memories without a vector of what they say now.

    Where it stands in each workspace it only keeps in mind: after a start everything is looked at once.
    """

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        self._operation = registry["memory.embed"]
        self._dispatch = dispatch
        self._store = store
        self._every_s = every_s
        self._after: dict[str, datetime | None] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin on the running loop."""
        self._task = asyncio.create_task(self._run(), name="embedding")

    async def stop(self) -> None:
        """Stop where it is: what has no vector waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def embed(self) -> None:
        """Give all memories of all workspaces their vectors, as far as the endpoint does its part."""
        for workspace_id in await self._store.read(system_caller(""), workspace_ids):
            while await self._some(workspace_id):
                pass

    async def _some(self, workspace_id: str) -> int:
        request = self._operation.request(after=self._after.get(workspace_id))
        answer = await self._dispatch(self._operation, system_caller(workspace_id), request, RequestContext())
        made = cast(MemoriesEmbedded, answer.result)
        self._after[workspace_id] = made.after
        return made.count

    async def _run(self) -> None:
        while True:
            try:
                await self.embed()
            except RepomeshError as error:  # recall does without; the server must not stop for it
                log.warning("memories not embedded, will be tried again", code=error.code)
            except Exception as error:  # the store may fail in ways of its own
                log.warning("memories not embedded, will be tried again", reason=repr(error))
            await asyncio.sleep(self._every_s)
