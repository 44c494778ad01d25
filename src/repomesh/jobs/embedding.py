"""Embedding: computes the vectors of memories in the background, where an endpoint for them is configured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from repomesh.domains.sessions.vectors import MemoriesEmbedded, workspaces_to_embed
from repomesh.jobs.job import Job
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.job_policy import JobPolicy
from repomesh.kernel.limits import EMBEDDING_BATCH_S
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

_POLICY = JobPolicy(concurrency=1, limit_s=EMBEDDING_BATCH_S)  # small endpoints compute one batch at a time


class EmbeddingJob(Job[str, str, MemoriesEmbedded]):
    """Looks every `every_s` seconds for memories without a vector of their present text, batch by batch.

    A piece of work is a workspace's id. Nothing is claimed: two nodes at once would compute the same vectors.
    The time up to which all memories have one is kept in memory only, so a start checks all of them once.
    """

    name = "embedding"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, every_s: float) -> None:
        super().__init__(_POLICY, every_s)
        self._operation = registry["memory.embed"]
        self._dispatch = dispatch
        self._store = store
        self._since: datetime | None = None
        self._positions: dict[str, datetime | None] = {}  # behind the last batch, of workspaces under way

    async def due(self) -> Sequence[str]:
        """The ids of workspaces with memories that need a vector."""
        started_at = self._store.now()
        workspace_ids = await self._store.read(
            system_caller(""), lambda tx: workspaces_to_embed(tx, self._since)
        )
        if not workspace_ids:  # all earlier changes have their vectors
            self._since = started_at
        return workspace_ids

    def key(self, due: str) -> str:
        """The workspace's id."""
        return due

    async def take(self, due: str) -> str:
        """The workspace's id."""
        return due

    async def effect(self, taken: str) -> MemoriesEmbedded:
        """Compute one batch of vectors, as far as the endpoint answers."""
        request = self._operation.request(after=self._positions.get(taken, self._since))
        answer = await self._dispatch(self._operation, system_caller(taken), request, RequestContext())
        return cast(MemoriesEmbedded, answer.result)

    async def settle(self, taken: str, outcome: MemoriesEmbedded | BaseException) -> bool:
        """Note the position; returns whether there may be another batch."""
        if isinstance(outcome, MemoriesEmbedded) and outcome.count:
            self._positions[taken] = outcome.after
            return True
        self._positions.pop(taken, None)
        return False
