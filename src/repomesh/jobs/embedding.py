"""Embedding: computes the vectors of memories in the background, where an endpoint for them is configured."""

from __future__ import annotations

from datetime import datetime
from typing import cast

import structlog

from repomesh.domains.sessions.vectors import MemoriesEmbedded, workspaces_to_embed
from repomesh.jobs.periodic import Periodic
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.embedding")


class EmbeddingWorker(Periodic):
    """Looks every `every_s` seconds for memories without a vector of their present text.

    The time up to which all had one is kept in memory only: after a start all memories are checked once.
    """

    name = "embedding"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        super().__init__(every_s)
        self._operation = registry["memory.embed"]
        self._dispatch = dispatch
        self._store = store
        self._since: datetime | None = None

    async def run_once(self) -> None:
        """Compute the missing vectors of all workspaces' memories, as far as the endpoint answers."""
        started_at = self._store.now()
        workspace_ids = await self._store.read(
            system_caller(""), lambda tx: workspaces_to_embed(tx, self._since)
        )
        if not workspace_ids:  # all earlier changes have their vectors
            self._since = started_at
        for workspace_id in workspace_ids:
            try:
                await self._embed(workspace_id)
            except RepomeshError as error:  # dispatch raises nothing else; the other workspaces go on
                log.warning("memories not embedded", workspace_id=workspace_id, code=error.code)

    async def _embed(self, workspace_id: str) -> None:
        after, count = self._since, 1
        while count:
            request = self._operation.request(after=after)
            caller = system_caller(workspace_id)
            answer = await self._dispatch(self._operation, caller, request, RequestContext())
            embedded = cast(MemoriesEmbedded, answer.result)
            after, count = embedded.after, embedded.count
