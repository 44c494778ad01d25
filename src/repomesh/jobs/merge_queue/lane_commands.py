"""The commands by which a worker records what it does on a lane."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel

from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.queue.processing_models import (
    BeginChecks,
    CheckRun,
    FailedChange,
    FindChecks,
    FindPins,
    FoundChecks,
    FoundPins,
    Intended,
    IntendLanding,
    LandingOutcome,
    LaneClaim,
    PostponeLanding,
    RecordChecks,
    SettleChanges,
    Settled,
    SettleLanding,
    TakeLane,
    TakenLane,
)
from repomesh.jobs.merge_queue.failures import describe_undecided
from repomesh.jobs.merge_queue.moving import Undecided
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.identity import RequestContext, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.operation import Empty, Registry


class QueueCommands:
    """Calls operations of the queue as the system of a workspace. Each call is a transaction."""

    def __init__(self, registry: Registry, dispatch: Dispatcher) -> None:
        self._registry = registry
        self._dispatch = dispatch

    async def call(self, workspace_id: str, operation: str, request: BaseModel) -> Any:
        """The result of an operation. Raises what it raises, ClaimLost among that."""
        caller = system_caller(workspace_id)
        return (await self._dispatch(self._registry[operation], caller, request, RequestContext())).result


class LaneCommands:
    """Records in the name of one claim. Each method raises ClaimLost when the claim has ended."""

    def __init__(self, commands: QueueCommands, workspace_id: str, claim: LaneClaim) -> None:
        self._call = partial(commands.call, workspace_id)
        self._claim = claim.model_dump()

    async def take(self, batch_max: int) -> TakenLane:
        """Claim the lane with at most as many changes. `taken` says whether the claim is made."""
        taken = await self._call("queue.take", TakeLane(**self._claim, batch_max=batch_max))
        assert isinstance(taken, TakenLane)
        return taken

    async def renew(self) -> None:
        """Keep the claim for longer."""
        await self._call("queue.renew", LaneClaim(**self._claim))

    async def begin_checks(self, stack: Sequence[Built]) -> None:
        """Record that the checks of these changes begin."""
        change_ids = tuple(built.change.id for built in stack)
        await self._call("queue.begin_checks", BeginChecks(**self._claim, change_ids=change_ids))

    async def find_runs(self, tree: str, keys: Sequence[str]) -> Sequence[CheckRun]:
        """The results that are known of checks on a tree."""
        found = await self._call("queue.find_checks", FindChecks(tree=tree, keys=tuple(keys)))
        assert isinstance(found, FoundChecks)
        return found.runs

    async def record_runs(self, change_ids: Sequence[str], runs: Sequence[CheckRun]) -> None:
        """Record the results of checks that passed or failed for changes."""
        request = RecordChecks(**self._claim, change_ids=tuple(change_ids), runs=tuple(runs))
        await self._call("queue.record_checks", request)

    async def intend(self, stack: Sequence[Built], old_commit: str) -> str | None:
        """Record that the branch is about to move; returns the landing's id, None where it must not."""
        request = IntendLanding(
            **self._claim,
            landing_id=new_id(),
            old_commit=old_commit,
            new_commit=stack[-1].commit,
            changes=tuple(built.as_record() for built in stack),
        )
        intended = await self._call("queue.intend", request)
        assert isinstance(intended, Intended)
        return request.landing_id if intended.allowed else None

    async def settle_landing(self, outcome: LandingOutcome) -> None:
        """Record whether a move took place."""
        await self._call("queue.settle_landing", SettleLanding(**self._claim, landing=outcome))

    async def postpone_landing(self, landing_id: str, undecided: Undecided) -> None:
        """Record why nobody knows yet whether a move took place."""
        reason = describe_undecided(str(undecided), undecided.blocked)
        request = PostponeLanding(**self._claim, landing_id=landing_id, **reason)
        await self._call("queue.postpone_landing", request)

    async def find_unneeded_pins(self, change_ids: Sequence[str]) -> Sequence[str]:
        """Those of the changes whose submitted commits nothing needs any more."""
        found = await self._call("queue.find_pins", FindPins(change_ids=tuple(change_ids)))
        assert isinstance(found, FoundPins)
        return found.unneeded

    async def forget_checks(self) -> None:
        """Delete results of checks that are kept for long enough."""
        await self._call("queue.forget_checks", Empty())

    async def settle(
        self,
        landing: LandingOutcome | None = None,
        failed: Sequence[FailedChange] = (),
        attempts_max: int = 3,
        pause: str | None = None,
    ) -> bool:
        """Record what became of the batch, and end the claim; returns whether there is more to build."""
        request = SettleChanges(
            **self._claim, landing=landing, failed=tuple(failed), attempts_max=attempts_max, pause=pause
        )
        settled = await self._call("queue.settle", request)
        assert isinstance(settled, Settled)
        return settled.more
