"""Decides which of the changes that were built may land, by running the repository's checks on them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.domains.changes import rules
from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.configuration import CheckSection, Configuration
from repomesh.domains.changes.queue.processing_models import CheckRun, FailedChange
from repomesh.domains.changes.repositories import Target
from repomesh.jobs.merge_queue.cancelling import finish_even_if_cancelled
from repomesh.jobs.merge_queue.running import run_check

FindRuns = Callable[[str, Sequence[str]], Awaitable[Sequence[CheckRun]]]
"""Of (tree, keys): the results that are known already."""

RecordRuns = Callable[[Sequence[str], Sequence[CheckRun]], Awaitable[None]]
"""Of (ids of changes, results): write them down."""


@dataclass(frozen=True, slots=True)
class StackVerdict:
    """How many changes of a stack may land, from its beginning; which one failed; why the queue pauses."""

    green_count: int
    failed: FailedChange | None = None
    pause: str | None = None


@dataclass(slots=True)
class Checker:
    """Runs checks for one lane. `trees` are the work trees that are free.

    `check_out` returns, also when it is cancelled, only once nothing works on the tree any more. A sandbox
    shows nothing of `secret_folders`.
    """

    target: Target
    trees: asyncio.Queue[CheckTree]
    check_out: Callable[[CheckTree, str], Awaitable[Sequence[str]]]
    find: FindRuns
    record: RecordRuns
    secret_folders: Sequence[Path] = ()

    @property
    def _configuration(self) -> Configuration:
        return self.target.configuration

    async def verify(self, stack: Sequence[Built]) -> StackVerdict:
        """Decide by the target's configuration: each commit of the stack is checked, or its last one."""
        if self._configuration.queue.verify == "batch":
            return await self._verify_batch(stack)
        return await self._verify_each(stack)

    async def _verify_each(self, stack: Sequence[Built]) -> StackVerdict:
        """Check all commits side by side; those before the first red one may land."""
        tasks = [asyncio.create_task(self._check(built, self._checks_for([built]))) for built in stack]
        try:
            for index, (built, task) in enumerate(zip(stack, tasks, strict=True)):
                runs = await task
                await self.record([built.change.id], runs)
                if (red := _first_red(runs)) is not None:
                    return await self._blame(built, red, index)
            return StackVerdict(len(stack))
        finally:
            for task in tasks:
                task.cancel()
            await finish_even_if_cancelled(asyncio.wait(tasks))

    async def _verify_batch(self, stack: Sequence[Built]) -> StackVerdict:
        """Check the last commit. If it is red, bisect for the first red one; those before it may land."""
        checks = self._checks_for(stack)
        runs = await self._check(stack[-1], checks)
        if (red := _first_red(runs)) is None:
            await self.record([built.change.id for built in stack], runs)
            return StackVerdict(len(stack))
        green_count, reds = 0, {len(stack): (red, runs)}
        first_red = len(stack)  # counted from 1; the commits up to `green_count` are green
        while first_red - green_count > 1:
            middle = (green_count + first_red) // 2
            runs = await self._check(stack[middle - 1], checks)
            if (red := _first_red(runs)) is None:
                await self.record([built.change.id for built in stack[green_count:middle]], runs)
                green_count = middle
            else:
                first_red, reds[middle] = middle, (red, runs)
        red, runs = reds[first_red]
        await self.record([stack[first_red - 1].change.id], runs)
        return await self._blame(stack[first_red - 1], red, green_count)

    async def _blame(self, built: Built, red: CheckRun, green_count: int) -> StackVerdict:
        """Return the change whose check failed; where it fails on the target's own tip, stop the queue."""
        check = next(check for check in self._configuration.checks if check.name == red.name)
        # Also where it is known to have passed there: it may fail by now for a reason of the machine, such as
        # a full disk, and then each change would be returned to its author for that.
        on_tip = await self._run(self.target.tip, self.target.tree, check)
        if on_tip.outcome != "passed":
            await self.record([], [on_tip])
            return StackVerdict(
                green_count, pause=f"the check '{red.name}' fails on {self.target.branch} itself"
            )
        killed = "was killed" if red.exit_code is None else f"ended with {red.exit_code}"
        ended = "took too long" if red.outcome == "timed_out" else killed
        failed = FailedChange(
            change_id=built.change.id,
            error_class="check",
            reason=f"the check '{red.name}' {ended}",
            next_step=f"'repomesh change show {built.change.id}' has its output; mend it and submit it again",
            base=built.parent,
        )
        return StackVerdict(green_count, failed)

    def _checks_for(self, stack: Sequence[Built]) -> list[CheckSection]:
        changed = [file.path for built in stack for file in built.difference.files]
        return [check for check in self._configuration.checks if check.is_for(changed)]

    async def _check(self, built: Built, checks: Sequence[CheckSection]) -> list[CheckRun]:
        """The results of checks on one commit; those that are known do not run again."""
        keys = {check.name: key_of(check, self._configuration) for check in checks}
        known = {run.name: run for run in await self.find(built.tree, list(keys.values()))}
        runs: list[CheckRun] = []
        for check in checks:
            run = known.get(check.name) or await self._run(built.commit, built.tree, check)
            runs.append(run)
            if run.outcome != "passed":
                break  # the others would say nothing that matters
        return runs

    async def _run(self, commit: str, tree: str, check: CheckSection) -> CheckRun:
        """Run a check, and once more if it fails: then it counts as flaky when it passes."""
        first = await self._run_once(commit, tree, check)
        if first.outcome == "passed":
            return first
        second = await self._run_once(commit, tree, check)
        return second.model_copy(update={"flaky": True}) if second.outcome == "passed" else second

    async def _run_once(self, commit: str, tree: str, check: CheckSection) -> CheckRun:
        check_tree = await self.trees.get()
        try:
            empty = await self.check_out(check_tree, commit)
            variables = {"REPOMESH_TARGET": self.target.branch, "REPOMESH_COMMIT": commit}
            end = await run_check(
                check, check_tree, variables, self._configuration.queue, self.secret_folders
            )
        finally:
            self.trees.put_nowait(check_tree)
        return CheckRun(
            name=check.name,
            tree=tree,
            key=key_of(check, self._configuration),
            outcome="passed" if end.passed else "timed_out" if end.timed_out else "failed",
            exit_code=end.exit_code,
            seconds=round(end.seconds, 3),
            output=_note_of_submodules(empty) + end.output + _note_of_memory(end.excess),
        )


def key_of(check: CheckSection, configuration: Configuration) -> str:
    """A digest of a check's name and of what it does: on the same tree it has the same result."""
    does = [check.name, check.arguments, check.timeout, check.memory_mb, configuration.queue.sandbox]
    return hashlib.sha256(orjson.dumps(does)).hexdigest()


def _note_of_memory(excess: str | None) -> str:
    """What stands below a check's output where it was killed for the memory that it held."""
    if excess is None:
        return ""
    return f"\n[killed: {excess}; 'memory_mb' of the check in repomesh.toml sets how much it may hold]\n"


def _note_of_submodules(empty_submodules: Sequence[str]) -> str:
    """What stands above a check's output where it ran without the files of submodules."""
    if not empty_submodules:
        return ""
    names = rules.name_some(empty_submodules)
    return f"[empty, since 'git submodule update --init' has not fetched it: {names}]\n"


def _first_red(runs: Sequence[CheckRun]) -> CheckRun | None:
    return next((run for run in runs if run.outcome != "passed"), None)
