"""Embedding: gives memories their vectors behind the commands, where an endpoint for them is configured."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from repomesh.domains.sessions.vectors import MemoriesEmbedded
from repomesh.domains.workspaces.operations import workspace_ids
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store
from repomesh.workers.periodic import Periodic


class Embedding(Periodic):
    """Looks every `every_s` seconds for memories without a vector of what they say now.

    Where it stands in each workspace it only keeps in mind: after a start everything is looked at once.
    """

    name = "embedding"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        super().__init__(every_s)
        self._operation = registry["memory.embed"]
        self._dispatch = dispatch
        self._store = store
        self._after: dict[str, datetime | None] = {}

    async def run_once(self) -> None:
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
