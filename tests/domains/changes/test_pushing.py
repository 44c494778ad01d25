"""Landing with a remote: its branch and the local one move together, or neither does."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from domains.changes.test_crashes import Died, bury, mortal, run, worker_of
from harness import Mesh, Speaker
from repomesh.adapters.git import landing
from repomesh.jobs.merge_queue.lane_commands import QueueCommands
from repomesh.kernel import limits
from repomesh.operations import registry
from repositories import Scratch

pytestmark = pytest.mark.anyio

PUSHED = '[queue]\npush = "origin"\n'


class Remote:
    """A bare repository on disk, to which the scratch repository pushes."""

    def __init__(self, scratch: Scratch, path: Path) -> None:
        self.scratch, self.path = scratch, path
        scratch.git("init", "-q", "--bare", "-b", "main", str(path))
        scratch.git("remote", "add", "origin", str(path))

    def git(self, *words: str) -> str:
        return self.scratch.git("--git-dir", str(self.path), *words)

    @property
    def tip(self) -> str:
        return self.git("rev-parse", "main")

    def hook(self, name: str, script: str) -> Path:
        """Have the remote run a script."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def commit(self, files: dict[str, str | None]) -> str:
        """Somebody else's commit, which the local repository does not have as its branch."""
        made = self.scratch.commit(files, "elsewhere", on=self.tip)
        self.scratch.git("push", "-q", "origin", f"{made}:refs/heads/main")
        return made


@pytest.fixture
async def remote(queue: Mesh, scratch: Scratch, tmp_path: Path) -> Remote:
    """A remote with all that main has, and a queue that pushes to it, without a worker of its own."""
    await queue.server.merge_queue.stop()
    scratch.commit({"repomesh.toml": PUSHED}, on=scratch.head(), branch="main")
    made = Remote(scratch, tmp_path / "remote.git")
    scratch.git("push", "-q", "origin", "main")
    return made


async def submit(agent: Speaker, scratch: Scratch, name: str, text: str = "new\n") -> str:
    """Submit a branch of this name that adds a file of this name; returns the change's id."""
    scratch.commit({f"{name}.txt": text}, on=scratch.git("rev-parse", "main"), branch=name)
    made: dict[str, Any] = await agent.post("/v1/changes", summary=name, branch=name)
    id_: str = made["id"]
    return id_


async def worked(queue: Mesh, *ids: str) -> list[dict[str, Any]]:
    """The changes after a worker has done all that is due."""
    worker = worker_of(queue)
    await run(worker, queue)
    await worker.stop()
    return [await queue.get(f"/v1/changes/{id_}") for id_ in ids]


async def test_the_remote_and_the_branch_move_together(queue: Mesh, scratch: Scratch, remote: Remote) -> None:
    alice = await queue.agent("alice")
    ids = [await submit(alice, scratch, f"n{number}") for number in range(3)]
    changes = await worked(queue, *ids)
    assert [change["state"] for change in changes] == ["landed"] * 3
    assert remote.tip == scratch.git("rev-parse", "main") == changes[-1]["landed_commit"]


async def test_the_first_push_makes_the_branch(queue: Mesh, scratch: Scratch, remote: Remote) -> None:
    remote.git("update-ref", "-d", "refs/heads/main")
    [change] = await worked(queue, await submit(await queue.agent("alice"), scratch, "n"))
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main")


async def test_what_was_not_pushed_before_goes_with_it(queue: Mesh, scratch: Scratch, remote: Remote) -> None:
    scratch.commit({"own.txt": "x\n"}, on=scratch.git("rev-parse", "main"), branch="main")
    [change] = await worked(queue, await submit(await queue.agent("alice"), scratch, "n"))
    assert change["state"] == "landed", change
    assert remote.tip == scratch.git("rev-parse", "main")
    assert remote.git("show", "main:own.txt") == "x"


async def test_a_remote_that_moved_is_fetched_and_built_upon(
    queue: Mesh, scratch: Scratch, remote: Remote
) -> None:
    alice = await queue.agent("alice")
    id_ = await submit(alice, scratch, "n")
    theirs = remote.commit({"theirs.txt": "t\n"})
    [change] = await worked(queue, id_)
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main") == change["landed_commit"]
    assert scratch.git("rev-parse", "main^") == theirs


async def test_a_remote_that_diverged_is_left_to_people(
    queue: Mesh, scratch: Scratch, remote: Remote
) -> None:
    scratch.commit({"own.txt": "x\n"}, on=scratch.git("rev-parse", "main"), branch="main")
    theirs = remote.commit({"theirs.txt": "t\n"})
    ours = scratch.git("rev-parse", "main")
    [change] = await worked(queue, await submit(await queue.agent("alice"), scratch, "n"))
    assert (change["state"], change["waits_for"]) == ("waiting", "retry")
    assert "diverged" in change["reason"]
    assert (remote.tip, scratch.git("rev-parse", "main")) == (theirs, ours)


async def test_one_change_that_the_remote_refuses_does_not_hold_the_others(
    queue: Mesh, scratch: Scratch, remote: Remote
) -> None:
    remote.hook("pre-receive", "while read old new ref; do ! git cat-file -e $new:evil.txt || exit 1; done")
    alice = await queue.agent("alice")
    ids = [await submit(alice, scratch, name) for name in ("a", "evil", "b", "c")]
    changes = await worked(queue, *ids)
    assert [change["state"] for change in changes] == ["landed", "waiting", "landed", "landed"]
    assert "pre-receive hook declined" in changes[1]["reason"]
    assert remote.tip == scratch.git("rev-parse", "main")
    shutil.rmtree(remote.path / "hooks")
    queue.clock.advance(60)
    [change] = await worked(queue, ids[1])
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main")


async def test_a_remote_that_is_gone_is_tried_again(queue: Mesh, scratch: Scratch, remote: Remote) -> None:
    before = scratch.git("rev-parse", "main")
    remote.path.rename(remote.path.with_name("away"))
    id_ = await submit(await queue.agent("alice"), scratch, "n")
    [change] = await worked(queue, id_)
    assert (change["state"], change["waits_for"]) == ("waiting", "retry")
    assert scratch.git("rev-parse", "main") == before
    remote.path.with_name("away").rename(remote.path)
    queue.clock.advance(60)
    [change] = await worked(queue, id_)
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main")


async def test_a_work_tree_in_the_way_moves_neither(queue: Mesh, scratch: Scratch, remote: Remote) -> None:
    remote.git("config", "receive.denyNonFastForwards", "true")
    scratch.git("checkout", "-q", "main")
    before = remote.tip
    id_ = await submit(await queue.agent("alice"), scratch, "n")
    (scratch.path / "n.txt").write_text("mine\n")
    [change] = await worked(queue, id_)
    assert (change["state"], change["waits_for"]) == ("waiting", "work_tree")
    assert remote.tip == scratch.git("rev-parse", "main") == before
    (scratch.path / "n.txt").unlink()
    queue.clock.advance(60)
    [change] = await worked(queue, id_)
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main")
    assert (scratch.path / "n.txt").read_text() == "new\n"


@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone"])
async def test_a_push_that_a_crash_interrupted_lands_once(
    queue: Mesh, scratch: Scratch, remote: Remote, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote has moved, the branch has not; the remote may be out of reach when that is looked at."""
    alice = await queue.agent("alice")
    ids = [await submit(alice, scratch, name) for name in ("a", "b")]
    before = scratch.git("rev-parse", "main")

    def die(*_arguments: object) -> None:
        raise Died

    first = worker_of(queue)
    with monkeypatch.context() as patch:
        patch.setattr(landing, "move_branch", die)
        with pytest.raises(Died):
            await run(first, queue)
    await bury(first)
    pushed = remote.tip
    assert pushed != before == scratch.git("rev-parse", "main")
    queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
    if gone:
        remote.path.rename(remote.path.with_name("away"))
        changes = await worked(queue, *ids)
        assert [change["state"] for change in changes] == ["landing", "landing"]
        assert scratch.git("rev-parse", "main") == before
        remote.path.with_name("away").rename(remote.path)
        queue.clock.advance(60)
    changes = await worked(queue, *ids)
    assert [change["state"] for change in changes] == ["landed", "landed"], changes
    assert remote.tip == scratch.git("rev-parse", "main") == changes[1]["landed_commit"] == pushed


async def test_a_push_that_ends_after_it_was_given_up_lands_once(
    queue: Mesh, scratch: Scratch, remote: Remote
) -> None:
    """The server died, its push did not: it arrives when another worker has looked at the remote already."""
    await queue.post("/v1/queue/pause", reason="later")
    id_ = await submit(await queue.agent("alice"), scratch, "n")
    await queue.post("/v1/queue/resume")
    before = scratch.git("rev-parse", "main")
    first = worker_of(queue)
    commands = QueueCommands(registry, queue.server.dispatch)
    intended: dict[str, str] = {}

    async def call(workspace_id: str, operation: str, request: Any) -> Any:
        answer = await commands.call(workspace_id, operation, request)
        if operation == "queue.intend":
            intended["commit"] = request.new_commit
            raise Died
        return answer

    first.commands.call = call  # type: ignore[method-assign]
    with pytest.raises(Died):
        await run(first, queue)
    queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
    second = worker_of(queue)
    mortal(second, 4, after=False)  # it settles what the first one left, and dies
    with pytest.raises(Died):
        await run(second, queue)
    for worker in (first, second):
        await bury(worker)
    scratch.git("push", "-q", "origin", f"{intended['commit']}:refs/heads/main")
    queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
    [change] = await worked(queue, id_)
    assert (change["state"], change["landed_commit"]) == ("landed", intended["commit"]), change
    assert scratch.git("rev-parse", "main^") == before
    assert remote.tip == scratch.git("rev-parse", "main")


async def test_a_worker_may_die_at_each_of_its_steps_with_a_remote(
    queue: Mesh, scratch: Scratch, remote: Remote
) -> None:
    alice = await queue.agent("alice")
    steps = 0
    while True:
        steps += 1
        tip = scratch.git("rev-parse", "main")
        id_ = await submit(alice, scratch, f"n{steps}")
        first = worker_of(queue)
        mortal(first, steps, after=True)
        try:
            await run(first, queue)
        except Died:
            pass
        else:
            break
        finally:
            await bury(first)
        queue.clock.advance(limits.QUEUE_CLAIM_S + 1)
        [change] = await worked(queue, id_)
        assert change["state"] == "landed", (steps, change)
        assert remote.tip == scratch.git("rev-parse", "main") == change["landed_commit"], steps
        assert scratch.git("rev-parse", "main^") == tip, steps
    assert steps > 8


async def test_a_server_that_stops_within_a_push_ends_it_first(
    queue: Mesh, scratch: Scratch, remote: Remote, tmp_path: Path
) -> None:
    began, go_on = tmp_path / "began", tmp_path / "go-on"
    remote.hook("pre-receive", f"touch {began}; while ! test -e {go_on}; do sleep 0.05; done")
    id_ = await submit(await queue.agent("alice"), scratch, "n")
    worker = worker_of(queue)
    worker.start()
    while not began.exists():  # noqa: ASYNC110 - the hook says so
        await asyncio.sleep(0.02)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0.1)
    go_on.touch()
    await stopping
    change = await queue.get(f"/v1/changes/{id_}")
    assert change["state"] == "landed"
    assert remote.tip == scratch.git("rev-parse", "main") == change["landed_commit"]
