"""A check tree belongs to one git and one check at a time, also when a check is given up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.building.stacks import Built
from repomesh.domains.changes.configuration import CheckSection, Configuration, QueueSection
from repomesh.domains.changes.queue.processing_models import CheckRun
from repomesh.domains.changes.repositories import Target
from repomesh.jobs.merge_queue.checking import Checker
from repomesh.jobs.merge_queue.repositories import OpenRepositories
from repomesh.kernel.ids import new_id
from repomesh.kernel.settings import Settings
from repositories import Scratch

pytestmark = pytest.mark.anyio


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path / "repository")


@pytest.fixture
def repository(scratch: Scratch, tmp_path: Path) -> Iterator[Repository]:
    scratch.commit({"a.txt": "a\n"})
    opened = Repository(scratch.path, tmp_path / "private")
    yield opened
    opened.close()


def built(repository: Repository, parent: str, commit: str) -> Built:
    change: Any = SimpleNamespace(id=new_id())
    difference: Any = SimpleNamespace(files=[])
    return Built(change, parent, commit, repository.tree(commit), "ort", difference)


def checker(repository: Repository, tip: str, trees: asyncio.Queue[CheckTree], check_out: Any) -> Checker:
    check = CheckSection(name="no bad", command="! test -e bad", timeout=20)
    configuration = Configuration(queue=QueueSection(sandbox="off"), checks=(check,))
    target = Target("main", tip, repository.tree(tip), configuration, None)

    async def find(_tree: str, _keys: Sequence[str]) -> Sequence[CheckRun]:
        return []

    async def record(_ids: Sequence[str], _runs: Sequence[CheckRun]) -> None:
        pass

    return Checker(target, trees, check_out, find, record)


async def test_a_red_commit_gives_no_tree_back_in_which_git_still_works(
    tmp_path: Path, scratch: Scratch, repository: Repository
) -> None:
    """Else the next round checks out beside it, and tests a mixture of two commits."""
    tip = scratch.head()
    red = scratch.commit({"bad": "bad\n"}, on=tip)
    slow = scratch.commit({"slow": "slow\n"}, on=red)
    repositories = OpenRepositories(Settings(data=tmp_path / "data"))
    working, begun = set[Path](), threading.Event()

    def check_out(tree: CheckTree, commit: str) -> list[str]:
        assert tree.folder not in working
        working.add(tree.folder)
        if commit == slow:
            begun.set()
            time.sleep(0.7)
        else:
            begun.wait(20)
        empty = tree.check_out(commit)
        working.remove(tree.folder)
        return empty

    trees: asyncio.Queue[CheckTree] = asyncio.Queue()
    for _ in range(2):
        trees.put_nowait(CheckTree(repository, tmp_path / "checks"))
    stack = [built(repository, tip, red), built(repository, red, slow)]
    on_thread = repositories.on_thread
    checking = checker(
        repository, tip, trees, lambda tree, commit: on_thread(partial(check_out, tree, commit))
    )
    verdict = await checking.verify(stack)
    assert verdict.failed is not None
    assert verdict.failed.change_id == stack[0].change.id
    assert (working, trees.qsize()) == (set(), 2)
    await repositories.close()
    while not trees.empty():
        trees.get_nowait().remove()


async def test_work_on_a_thread_is_waited_for_however_often_it_is_cancelled(tmp_path: Path) -> None:
    repositories = OpenRepositories(Settings(data=tmp_path / "data"))
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(20)

    task = asyncio.create_task(repositories.on_thread(work))
    await asyncio.to_thread(begun.wait, 20)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    closing = asyncio.create_task(repositories.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closing


async def test_two_lanes_of_a_workspace_have_trees_of_their_own(
    tmp_path: Path, repository: Repository
) -> None:
    repositories = OpenRepositories(Settings(data=tmp_path / "data"))
    lanes = [
        repositories.check_trees("workspace", target, repository, 2) for target in ("main", "next", "main")
    ]
    assert not {tree.folder for tree in lanes[0]} & {tree.folder for tree in lanes[1]}
    assert lanes[2] == lanes[0]
    await repositories.close()
