"""Lets go of what nothing needs any more: submitted commits, which git collects, and results of checks."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.repositories import pinned_changes
from repomesh.jobs.merge_queue.held_lane import HeldLane
from repomesh.jobs.merge_queue.repositories import OpenRepositories
from repomesh.kernel import limits


class PinSweeper:
    """Sweeps the pins of a workspace now and then, while one of its lanes is held."""

    def __init__(self, repositories: OpenRepositories) -> None:
        self._repositories = repositories
        self._swept_at: dict[str, datetime] = {}

    async def sweep(self, lane: HeldLane, repository: Repository, now: datetime) -> None:
        """Remove pins that are not needed, if none were removed lately. Raises GitFailed."""
        swept_at = self._swept_at.get(lane.workspace_id)
        if swept_at is not None and (now - swept_at).total_seconds() < limits.QUEUE_PINS_SWEEP_S:
            return
        self._swept_at[lane.workspace_id] = now
        await lane.commands.forget_checks()
        on_thread = self._repositories.on_thread
        pins = await on_thread(partial(pinned_changes, repository, limits.QUEUE_PINS_SWEPT_MAX))
        for change_id in await lane.commands.find_unneeded_pins(list(pins)):
            for ref in pins[change_id]:
                await on_thread(partial(repository.unpin, ref))
