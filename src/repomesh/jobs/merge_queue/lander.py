"""Moves the target branch to what was built, and settles moves that no worker has settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from repomesh.adapters.git import landing
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.file_locks import branch_lock
from repomesh.adapters.git.following import BlockedByWorkTree
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.queue.processing_models import LandingOutcome, QueuedChange
from repomesh.domains.changes.repositories import Target
from repomesh.jobs.merge_queue import moving
from repomesh.jobs.merge_queue.cancelling import finish_even_if_cancelled
from repomesh.jobs.merge_queue.failures import (
    blocked_by,
    changes_blocked_by,
    failed_by_git,
    infrastructure_failure,
)
from repomesh.jobs.merge_queue.held_lane import HeldLane
from repomesh.jobs.merge_queue.repositories import OpenRepositories


@dataclass(frozen=True, slots=True)
class Lander:
    """Lands on one lane. A move that has begun is recorded, also when the server stops meanwhile."""

    repositories: OpenRepositories
    lane: HeldLane
    repository: Repository

    async def land(self, stack: Sequence[Built], target: Target) -> Sequence[Built]:
        """Land a stack; where the remote refuses that, its first change alone, or none would ever land.

        Returns what has landed; the lane holds what failed.
        """
        try:
            refused = await finish_even_if_cancelled(self._move_target(stack, target))
            if refused is not None and len(stack) > 1:
                await self.lane.settle_landing()
                stack = stack[:1]
                refused = await finish_even_if_cancelled(self._move_target(stack, target))
        except GitFailed as error:  # nothing was intended: another process moves the branch
            self.lane.failed += [
                infrastructure_failure(built.change, error.message, built.parent) for built in stack
            ]
            return []
        if refused is not None:
            self.lane.failed.append(infrastructure_failure(stack[0].change, refused.message, stack[0].parent))
        return stack if self.lane.landing is not None and self.lane.landing.landed else []

    async def settle_interrupted(self) -> list[QueuedChange]:
        """Settle what earlier workers did not; returns the changes of the batch that are still to land.

        Raises GitFailed where nobody can know yet.
        """
        if self.lane.taken.pending_moves:
            await finish_even_if_cancelled(self._settle_pending_moves())
        landed = await self._settle_abandoned_moves()
        return [change for change in self.lane.taken.changes if change.id not in landed]

    async def _move_target(self, stack: Sequence[Built], target: Target) -> landing.RemoteRefused | None:
        """Write down that the branch is about to move, move it, and note in the lane whether it did.

        Nobody else on this machine moves it meanwhile. Returns why the remote refused it.
        """
        lane, refused, landed = self.lane, None, False
        async with _exclusive_branch_lock(self.repository, target.branch) as lock:
            landing_id = await lane.commands.intend(stack, target.tip)
            if landing_id is None:
                return None  # those that may not land were put where they belong; the others are built again
            move = partial(moving.move, self.repository, target, stack[-1].commit, _reason(stack), lock)
            try:
                landed = await self.repositories.on_thread(move)
            except moving.Undecided as undecided:
                await lane.commands.postpone_landing(landing_id, undecided)
                return None
            except BlockedByWorkTree as blocked:
                lane.failed += [blocked_by(built, blocked) for built in changes_blocked_by(stack, blocked)]
            except landing.RemoteRefused as error:
                refused = error
            except GitFailed as error:
                lane.failed += [failed_by_git(built, error) for built in stack]
            lane.landing = LandingOutcome(landing_id=landing_id, landed=landed)
        return refused

    async def _settle_pending_moves(self) -> None:
        """Find out what became of moves that were intended and not settled."""
        lane = self.lane
        async with _exclusive_branch_lock(self.repository, lane.target) as lock:
            for move in lane.taken.pending_moves:
                look = partial(moving.has_moved, self.repository, lane.target, move, lock)
                try:
                    landed = await self.repositories.on_thread(look)
                except moving.Undecided as undecided:
                    await lane.commands.postpone_landing(move.id, undecided)
                    raise GitFailed(f"an earlier landing is not settled: {undecided}") from None
                await lane.commands.settle_landing(LandingOutcome(landing_id=move.id, landed=landed))

    async def _settle_abandoned_moves(self) -> set[str]:
        """Record moves that were given up and are on the branch nevertheless; returns their changes.

        A push goes on behind the end of the server that began it.
        """
        landed: set[str] = set()
        for move in self.lane.taken.abandoned_moves:
            look = partial(moving.is_on, self.repository, self.lane.target, move)
            if await self.repositories.on_thread(look):
                await self.lane.commands.settle_landing(LandingOutcome(landing_id=move.id, landed=True))
                landed |= {commit.change_id for commit in move.commits}
        return landed


def _reason(stack: Sequence[Built]) -> str:
    """What git's log of the branch says about a move."""
    return f"repomesh: change {stack[-1].change.id}"


@asynccontextmanager
async def _exclusive_branch_lock(repository: Repository, branch: str) -> AsyncIterator[int]:
    """Be the only one on this machine that moves a branch; gives the lock. Raises GitFailed."""
    lock = branch_lock(repository, branch)
    descriptor = await asyncio.to_thread(lock.__enter__)
    try:
        yield descriptor
    finally:
        lock.__exit__(None, None, None)
