"""Which changes of a stack may land, by checks that are made up here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.following import BlockedByWorkTree
from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.configuration import CheckSection, Configuration, QueueSection
from repomesh.domains.changes.queue.processing_models import CheckRun
from repomesh.domains.changes.repositories import Target
from repomesh.jobs.merge_queue import checking
from repomesh.jobs.merge_queue.checking import Checker, key_of
from repomesh.jobs.merge_queue.failures import blocked_by, failed_by_git
from repomesh.jobs.merge_queue.running import CheckEnd
from repomesh.kernel.ids import new_id

pytestmark = pytest.mark.anyio

CONFIGURATION = Configuration(
    queue=QueueSection(verify="batch"), checks=(CheckSection(name="tests", command="true"),)
)


def built(number: int) -> Built:
    change: Any = SimpleNamespace(id=new_id(), base_commit="the base of its author")
    difference: Any = SimpleNamespace(files=[])
    return Built(change, f"c{number - 1}", f"c{number}", f"t{number}", "ort", difference)


async def test_bisection_records_each_change_as_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = [built(number) for number in range(1, 9)]
    trees: asyncio.Queue[Any] = asyncio.Queue()
    trees.put_nowait(None)
    recorded: list[str] = []

    async def run(_check: Any, _tree: Any, variables: Any, *_more: Any) -> CheckEnd:
        number = int(variables["REPOMESH_COMMIT"][1:])
        return CheckEnd(number // 8, timed_out=False, seconds=0.0, output="")

    async def check_out(_tree: Any, _commit: str) -> Sequence[str]:
        return []

    async def find(_tree: str, _keys: Sequence[str]) -> Sequence[CheckRun]:
        return []

    async def record(ids: Sequence[str], runs: Sequence[CheckRun]) -> None:
        if all(run.outcome == "passed" for run in runs):
            recorded.extend(ids)

    monkeypatch.setattr(checking, "run_check", run)
    target = Target("main", "c0", "t0", CONFIGURATION, None)
    verdict = await Checker(target, trees, check_out, find, record).verify(stack)
    assert verdict.failed is not None
    assert verdict.failed.change_id == stack[-1].change.id
    assert recorded == [each.change.id for each in stack[:-1]]


def test_two_checks_with_one_command_have_results_of_their_own() -> None:
    keys = {key_of(CheckSection(name=name, command="true"), CONFIGURATION) for name in ("a", "b")}
    assert len(keys) == 2


def test_a_failed_landing_names_the_commit_on_which_the_change_was_built() -> None:
    change = built(3)
    failures = (failed_by_git(change, GitFailed("no")), blocked_by(change, BlockedByWorkTree("tree", ("a",))))
    assert [failure.base for failure in failures] == ["c2", "c2"]
