"""The worker: takes a lane, builds and checks what is queued, and moves the target branch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog

from repomesh.adapters.bus.port import Bus
from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.building.stacks import Built, build_stack
from repomesh.domains.changes.configuration import ConfigurationInvalid
from repomesh.domains.changes.errors import TargetMissing
from repomesh.domains.changes.queue.claims import ClaimLost, ReadyLane, are_wanted, ready_lanes
from repomesh.domains.changes.queue.processing_models import CheckRun, LaneClaim, QueuedChange
from repomesh.domains.changes.repositories import FOLDER, Target, read_target
from repomesh.jobs.job import Job
from repomesh.jobs.merge_queue.cancelling import finish_even_if_cancelled
from repomesh.jobs.merge_queue.checking import Checker, StackVerdict
from repomesh.jobs.merge_queue.claim_notes import ClaimNote, ClaimNotes
from repomesh.jobs.merge_queue.failures import infrastructure_failure
from repomesh.jobs.merge_queue.held_lane import HeldLane
from repomesh.jobs.merge_queue.lander import Lander
from repomesh.jobs.merge_queue.lane_commands import LaneCommands, QueueCommands
from repomesh.jobs.merge_queue.pins import PinSweeper
from repomesh.jobs.merge_queue.repositories import OpenRepositories
from repomesh.jobs.merge_queue.sandbox import SandboxMissing, secret_folders
from repomesh.kernel import limits
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.identity import system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.job_policy import JobPolicy
from repomesh.kernel.operation import Registry
from repomesh.store.base import Store

log = structlog.get_logger("repomesh.queue")
POLICY = JobPolicy(concurrency=limits.QUEUE_LANES_AT_ONCE, limit_s=limits.QUEUE_ROUND_S)


class MergeQueue(Job[ReadyLane, HeldLane, None]):
    """Serves the merge queues of all workspaces whose repository is on this machine."""

    name = "merge-queue"

    def __init__(self, registry: Registry, dispatch: Dispatcher, store: Store, bus: Bus) -> None:
        super().__init__(POLICY, limits.QUEUE_POLL_S, limits.QUEUE_REST_S)
        self.commands = QueueCommands(registry, dispatch)
        self.repositories = OpenRepositories(store.settings)
        self._store = store
        self._metrics = store.metrics
        self._pins = PinSweeper(self.repositories)
        self._notes = ClaimNotes(store.settings.data / FOLDER / "claims")
        self._ended_former = False
        bus.subscribe(lambda _workspace_id, _seq: self.wake())

    async def stop(self) -> None:
        """Cancel the work under way, record it, end git's resident processes and remove the check trees."""
        await super().stop()
        await self.repositories.close()

    async def due(self) -> list[ReadyLane]:
        """The lanes that have something to do and no worker."""
        if not self._ended_former:
            await self._end_former_claims()
        return await self._store.read(system_caller(""), ready_lanes)

    def key(self, due: ReadyLane) -> str:
        """The lane: one worker at a time works on it."""
        return f"{due.workspace_id}/{due.target}"

    async def take(self, due: ReadyLane) -> HeldLane | None:
        """Claim a lane and a batch of its changes; None when another worker was faster, or nothing is due."""
        context = await self.repositories.on_thread(partial(self.repositories.read_context, due))
        if context.repository is None and self._is_left_to_others(due):
            return None
        claim = LaneClaim(target=due.target, claim_id=new_id())
        commands = LaneCommands(self.commands, due.workspace_id, claim)
        note = ClaimNote(workspace_id=due.workspace_id, claim=claim)
        self._notes.write(note)
        taken = await commands.take(context.batch_max)
        if taken.taken:
            return HeldLane(due.workspace_id, claim, commands, taken, context)
        self._notes.remove(note)
        return None

    def _is_left_to_others(self, due: ReadyLane) -> bool:
        """Whether another server, which has the repository of a lane, may take it soon."""
        is_shared = self._store.settings.database_url is not None
        return is_shared and (self._store.now() - due.since).total_seconds() < limits.QUEUE_NO_REPOSITORY_S

    async def effect(self, lane: HeldLane) -> None:
        """Settle moves of the branch that were interrupted, then build, check and land one batch."""
        renewing = asyncio.create_task(_keep_claim(lane))
        try:
            await self._work_on_lane(lane)
        except ClaimLost:
            log.info("another worker took the lane", target=lane.target)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def settle(self, lane: HeldLane, outcome: BaseException | None) -> bool:
        """Record what failed, and release the lane; returns whether there is more to build."""
        if isinstance(outcome, Exception):  # the same batch at once again would fail in the same way
            known = {failed.change_id for failed in lane.failed}
            changes = [change for change in lane.taken.changes if change.id not in known]
            _fail(lane, changes, f"the queue failed on its batch: {type(outcome).__name__}: {outcome}")
        for failed in lane.failed:
            self._metrics.changes_failed.labels(failed.error_class).inc()
        attempts_max = lane.context.attempts_max
        more = await lane.commands.settle(lane.landing, lane.failed, attempts_max, lane.pause)
        self._notes.remove(lane.note)
        return more and outcome is None

    async def _end_former_claims(self) -> None:
        """End the claims of the server that was killed with this data folder."""
        for note in self._notes.left():
            with suppress(RepomeshError):  # it expires by itself
                await LaneCommands(self.commands, note.workspace_id, note.claim).settle()
            self._notes.remove(note)
        self._ended_former = True

    async def _work_on_lane(self, lane: HeldLane) -> None:
        repository = lane.context.repository
        if repository is None:
            _fail(lane, lane.taken.changes, lane.context.error or "")
            return
        lander = Lander(self.repositories, lane, repository)
        try:
            changes = await lander.settle_interrupted()
            await self._pins.sweep(lane, repository, self._store.now())
            if lane.context.pause is not None and lane.taken.queued:
                lane.pause = lane.context.pause
            if not changes:
                return
            on_thread = self.repositories.on_thread
            target = await on_thread(partial(read_target, repository, lane.target))
            stack, failed = await on_thread(partial(build_stack, repository, changes, target))
        except (ConfigurationInvalid, TargetMissing) as error:
            lane.pause = error.message
            return
        except RepomeshError as error:  # git fails: nothing is wrong with the changes
            _fail(lane, lane.taken.changes, error.message)
            return
        lane.failed += failed
        if not stack:
            return
        verdict = await self._verify(lane, repository, stack, target)
        lane.pause = verdict.pause
        if verdict.failed is not None:
            lane.failed.append(verdict.failed)
        if verdict.green_count:
            self._count_landed(await lander.land(stack[: verdict.green_count], target))

    async def _verify(
        self, lane: HeldLane, repository: Repository, stack: Sequence[Built], target: Target
    ) -> StackVerdict:
        """Run the checks that the target branch names; how many changes of the stack may land."""
        if not target.configuration.checks:
            return StackVerdict(len(stack))
        await lane.commands.begin_checks(stack)
        data, is_hiding = self._store.settings.data, target.configuration.queue.sandbox != "off"
        secrets = await asyncio.to_thread(secret_folders, data) if is_hiding else []
        trees: asyncio.Queue[CheckTree] = asyncio.Queue()
        checker = Checker(
            target,
            trees,
            check_out=lambda tree, commit: self.repositories.on_thread(partial(tree.check_out, commit)),
            find=lane.commands.find_runs,
            record=partial(self._record_runs, lane),
            secret_folders=secrets,
        )
        at_once = target.configuration.queue.checks_at_once
        try:
            for tree in self.repositories.check_trees(lane.workspace_id, lane.target, repository, at_once):
                trees.put_nowait(tree)
            return await self._verify_while_wanted(lane, checker, stack)
        except SandboxMissing as error:
            return StackVerdict(0, pause=str(error))
        except (GitFailed, OSError) as error:
            lane.failed += [infrastructure_failure(built.change, str(error), built.parent) for built in stack]
            return StackVerdict(0)

    async def _verify_while_wanted(
        self, lane: HeldLane, checker: Checker, stack: Sequence[Built]
    ) -> StackVerdict:
        """The verdict on a stack. When one of its changes is taken out meanwhile, nothing lands.

        Its checks end then, and the others are built again without it; what has passed need not run again.
        """
        verifying = asyncio.create_task(checker.verify(stack))
        watching = asyncio.create_task(self._wait_until_unwanted(lane, [built.change.id for built in stack]))
        try:
            await asyncio.wait({verifying, watching}, return_when=asyncio.FIRST_COMPLETED)
            return verifying.result() if verifying.done() else StackVerdict(0)
        finally:
            for task in (verifying, watching):
                task.cancel()
            await finish_even_if_cancelled(asyncio.wait({verifying, watching}))

    async def _wait_until_unwanted(self, lane: HeldLane, change_ids: Sequence[str]) -> None:
        """Return when one of these changes was withdrawn, rejected or replaced."""
        system = system_caller(lane.workspace_id)
        wanted = True
        while wanted:
            await asyncio.sleep(limits.QUEUE_WANTED_S)
            with suppress(RepomeshError):  # a store that is busy: it is asked again
                wanted = await self._store.read(system, partial(are_wanted, change_ids=change_ids))

    async def _record_runs(self, lane: HeldLane, change_ids: Sequence[str], runs: Sequence[CheckRun]) -> None:
        for run in runs:
            if not run.cached:
                self._metrics.check_seconds.labels(run.outcome).observe(run.seconds)
        await lane.commands.record_runs(change_ids, runs)

    def _count_landed(self, landed: Sequence[Built]) -> None:
        now = self._store.now()
        for built in landed:
            self._metrics.changes_landed.labels(built.merged_by).inc()
            self._metrics.change_seconds.observe((now - built.change.created_at).total_seconds())


def _fail(lane: HeldLane, changes: Sequence[QueuedChange], reason: str) -> None:
    """Note in the lane that git, the disk or the network failed on changes: they are tried again."""
    lane.failed += [infrastructure_failure(change, reason) for change in changes]


async def _keep_claim(lane: HeldLane) -> None:
    """Renew the claim of a lane until cancelled."""
    while True:
        await asyncio.sleep(limits.QUEUE_RENEW_S)
        with suppress(RepomeshError):  # the next command says whether the claim still holds
            await lane.commands.renew()
