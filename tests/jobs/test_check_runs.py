"""Checks run in work trees: how they end, and that nothing of them goes on."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from repomesh.adapters.git.check_trees import CheckTree
from repomesh.adapters.git.repository import Repository
from repomesh.domains.changes.configuration import CheckSection, QueueSection
from repomesh.jobs.merge_queue import running, sandbox, usage
from repomesh.jobs.merge_queue.running import CheckEnd, run_check
from repomesh.jobs.merge_queue.sandbox import (
    Sandbox,
    SandboxMissing,
    bounded,
    forget_sandbox_probe,
    sandbox_problem,
    secret_folders,
)
from repomesh.jobs.merge_queue.usage import default_check_memory
from repomesh.kernel import limits, trust
from repositories import Scratch

pytestmark = pytest.mark.anyio

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
sys.stdout.close()
os.closerange(0, 3)
with open("pid", "w") as file:
    file.write(str(os.getpid()))
time.sleep(60)
"""
WAIT = "while ! test -s pid; do sleep 0.01; done"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[CheckTree]:
    scratch = Scratch(tmp_path / "repository")
    commit = scratch.commit({"daemon.py": DAEMON})
    repository = Repository(scratch.path, tmp_path / "private")
    made = CheckTree(repository, tmp_path / "checks")
    made.check_out(commit)
    yield made
    made.remove()
    repository.close()


async def run(
    tree: CheckTree, command: str | tuple[str, ...], limit_s: float = 20, sandbox: Sandbox = "off"
) -> CheckEnd:
    check = CheckSection(name="check", command=command, timeout=limit_s)
    return await run_check(check, tree, {}, QueueSection(sandbox=sandbox))


def is_running(tree: CheckTree) -> bool:
    process_id = int((tree.folder / "pid").read_text())
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_daemon_that_a_check_started_ends_with_it(tree: CheckTree) -> None:
    end = await run(tree, f"python3 daemon.py; {WAIT}; echo done")
    assert (end.exit_code, end.output) == (0, "done\n")
    assert not is_running(tree)


async def test_a_daemon_ends_with_a_check_that_takes_too_long(tree: CheckTree) -> None:
    end = await run(tree, f"python3 daemon.py; {WAIT}; sleep 60", 1)
    assert end.timed_out
    assert not is_running(tree)


async def test_a_daemon_ends_with_a_check_that_is_cancelled(tree: CheckTree) -> None:
    running = asyncio.create_task(run(tree, f"python3 daemon.py; {WAIT}; sleep 60"))
    waiting = ["sh", "-c", WAIT]
    await asyncio.to_thread(subprocess.run, waiting, cwd=tree.folder, timeout=20, check=True)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not is_running(tree)


async def test_the_checks_of_others_go_on(tree: CheckTree) -> None:
    other = asyncio.create_task(run(tree, "sleep 0.5; echo whole"))
    assert (await run(tree, "true")).passed
    assert (await other).output == "whole\n"


async def test_a_command_that_can_not_be_started_has_failed(tree: CheckTree) -> None:
    assert (await run(tree, ("no-such-program",))).exit_code == 127
    assert (await run(tree, ("./daemon.py",))).exit_code == 126


async def test_each_process_of_a_check_is_bounded_in_memory(tree: CheckTree) -> None:
    use = "python3 -c 'bytearray({})' && echo {}"
    command = f"{use.format(400_000_000, 'too much')}; {use.format(1_000, 'fits')}"
    check = CheckSection(name="check", command=command, memory_mb=200)
    end = await run_check(check, tree, {}, QueueSection(sandbox="off"))
    assert "too much" not in end.output
    assert end.output.endswith("fits\n")


async def test_a_check_whose_processes_hold_too_much_together_is_killed(
    tree: CheckTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "default_check_memory", lambda _at_once: 150_000_000)
    program = "import time; print(1, flush=True); held = bytearray(100_000_000); time.sleep(20)"
    hold = f"python3 -c '{program}'"
    end = await run(tree, f"{hold} & {hold} & wait; echo not reached")
    assert (end.exit_code, end.timed_out, end.output) == (None, False, "1\n1\n")
    assert end.excess is not None
    assert "may hold 143" in end.excess
    assert (await run(tree, f"timeout 2 {hold}")).excess is None


async def test_a_check_that_holds_too_much_in_unnamed_files_is_killed(
    tree: CheckTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "default_check_memory", lambda _at_once: 100_000_000)
    (tree.folder / "fill.py").write_text(
        "import os, time\n"
        "unnamed = os.memfd_create('unnamed')\n"
        "for _ in range(150): os.write(unnamed, bytes(1_000_000))\n"
        "time.sleep(20)\n"
    )
    end = await run(tree, "python3 fill.py")
    assert end.excess is not None
    assert "may hold 95" in end.excess


async def test_a_check_that_fills_a_work_tree_in_memory_is_killed(
    tree: CheckTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "default_check_memory", lambda _at_once: 20_000_000)
    monkeypatch.setattr(usage, "SHARED_MEMORY", tree.folder.parent)
    write = "head -c 30000000 /dev/zero > large; sync; sleep 20"
    end = await run(tree, write)
    assert end.excess is not None
    assert "in its work tree" in end.excess


async def test_a_check_that_fills_the_disk_is_killed(
    tree: CheckTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server needs room on it, too. Where others filled it, the check goes on."""
    monkeypatch.setattr(limits, "CHECK_DISK_FREE_MIN", 1 << 60)
    monkeypatch.setattr(limits, "CHECK_DISK_WRITTEN_MIN", 20_000_000)
    end = await run(tree, "head -c 30000000 /dev/zero > large; sync; sleep 20")
    assert end.excess is not None
    assert "written to its disk" in end.excess
    assert (await run(tree, "sleep 1.5")).excess is None


def test_checks_share_half_of_the_memory_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = tmp_path / "memory.max"
    monkeypatch.setattr(usage, "_CGROUP_MEMORY_MAX", container)
    for text, share in (
        (str(4 * 1024**3), 1024**3),
        (str(1024**3), limits.CHECK_MEMORY_MIN),
        ("max", max(psutil.virtual_memory().total // 4, limits.CHECK_MEMORY_MIN)),
    ):
        container.write_text(text)
        assert default_check_memory(checks_at_once=2) == share


needs_sandbox = pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox: {sandbox_problem()}")


@needs_sandbox
async def test_a_sandboxed_check_writes_to_its_work_tree_alone(tree: CheckTree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    mine = Path.home() / ".repomesh-was-here"
    command = (
        f"touch inside; touch {outside}; touch {mine}; git log -1 --format=%s; touch $TMPDIR/a; ls $TMPDIR"
    )
    end = await run(tree, command, sandbox="required")
    assert (tree.folder / "inside").exists()
    assert not outside.exists()
    assert not mine.exists()
    assert end.output.splitlines()[-2:] == ["change", "a"]


@needs_sandbox
async def test_a_sandboxed_check_reads_no_secret_of_repomesh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check tree and the objects may lie in the data folder; the token beside them is not shown."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    data, other = tmp_path / "repository" / ".repomesh", tmp_path / "other" / ".repomesh"
    scratch = Scratch(data.parent)
    commit = scratch.commit({"a": "a\n"})
    for folder in (data, other, tmp_path / "state" / "repomesh" / "folders" / "1"):
        folder.mkdir(parents=True)
        (folder / "token").write_text("secret\n")
    trust.write_record(tmp_path / "state" / "repomesh" / "folders" / "1", other)
    repository = Repository(scratch.path, data / "queue")
    tree = CheckTree(repository, data / "queue" / "checks")
    tree.check_out(commit)
    command = (
        f"find {tmp_path} -name token | xargs cat; cat a; git log --format=%s; echo x > b; touch {data}/x"
    )
    check = CheckSection(name="check", command=command)
    secret = secret_folders(data)
    end = await run_check(check, tree, {}, QueueSection(sandbox="off"), secret)
    assert end.output.startswith("secret\n" * 3)
    (data / "x").unlink()
    end = await run_check(check, tree, {}, QueueSection(sandbox="required"), secret)
    assert end.output.startswith("a\nchange\ntouch: ")
    assert (tree.folder / "b").exists()
    tree.remove()
    repository.close()


@needs_sandbox
async def test_a_sandbox_bounds_the_files_in_memory(tree: CheckTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "default_check_memory", lambda _at_once: 40_000_000)
    write = "for f in /tmp/a /dev/shm/a /dev/a; do head -c {} /dev/zero > $f && echo ok || echo no; done 2>&1"
    fits = await run(tree, write.format(10_000_000), sandbox="required")
    assert [line for line in fits.output.splitlines() if len(line) == 2] == ["ok", "ok", "no"]
    too_large = await run(tree, write.format(30_000_000), sandbox="required")
    assert [line for line in too_large.output.splitlines() if len(line) == 2] == ["no", "no", "no"]


@needs_sandbox
async def test_root_in_a_sandbox_can_not_take_it_away(tree: CheckTree) -> None:
    command = "umount -l /tmp; mount -o remount,rw,bind /; grep CapEff /proc/self/status; touch /etc/escaped"
    end = await run(tree, command, sandbox="required")
    assert "CapEff:\t0000000000000000" in end.output
    assert not await asyncio.to_thread(os.path.lexists, "/etc/escaped")
    assert not end.passed


@needs_sandbox
async def test_a_sandboxed_check_has_no_network(tree: CheckTree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        assert (await run(tree, ("python3", "-c", call))).passed
        assert not (await run(tree, ("python3", "-c", call), sandbox="required")).passed


@needs_sandbox
async def test_a_daemon_ends_with_its_sandbox(tree: CheckTree) -> None:
    assert (await run(tree, f"env -i $(which python3) daemon.py; {WAIT}", sandbox="required")).passed
    assert not [process for process in psutil.process_iter() if _works_in(process, tree)]


def _works_in(process: psutil.Process, tree: CheckTree) -> bool:
    try:
        return process.cwd() == str(tree.folder)
    except psutil.Error:
        return False


@pytest.fixture
def broken_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A bubblewrap as in a container that allows no namespaces."""
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    forget_sandbox_probe()
    yield
    forget_sandbox_probe()


@pytest.mark.usefixtures("broken_bwrap")
async def test_a_sandbox_that_can_not_be_made_is_left_out_or_missed(tree: CheckTree) -> None:
    with structlog.testing.capture_logs() as logged:
        for _ in range(2):
            assert (await run(tree, "echo done", sandbox="auto")).output == "done\n"
    [warning] = logged
    assert warning["event"] == "checks run without a sandbox"
    assert "No permissions" in warning["reason"]
    with pytest.raises(SandboxMissing, match=r"required.*No permissions to create new namespace"):
        await run(tree, "echo done", sandbox="required")


@needs_sandbox
@pytest.mark.usefixtures("broken_bwrap")
async def test_a_sandbox_that_is_repaired_is_used_without_a_restart(
    tree: CheckTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox_problem() is not None
    (tmp_path / "bin" / "bwrap").unlink()
    monkeypatch.setattr(sandbox, "_PROBED_AGAIN_S", 0.0)
    assert (await run(tree, "echo done", sandbox="required")).passed


async def test_a_limit_on_memory_that_can_not_be_set_fails_the_check(tree: CheckTree) -> None:
    command = bounded(["echo", "not run"], 64)
    command[3] = "no-number"
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert done.returncode
    assert (b"not run" not in done.stdout, done.stderr != b"") == (True, True)


def test_the_data_folders_that_changed_last_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SANDBOX_MASKS_MAX", 2)
    folders = [tmp_path / name for name in ("old", "gone", "newer", "newest")]
    for number, folder in enumerate(folders):
        if folder.name != "gone":
            folder.mkdir()
            os.utime(folder, (number, number))
    records = {folder.name: {"path": str(folder)} for folder in folders}
    state = tmp_path / "state"
    (state / "folders").mkdir(parents=True)
    for name in records:
        (state / "folders" / name).touch()
    monkeypatch.setattr(trust, "state_folder", lambda: state)
    monkeypatch.setattr(trust, "read_record", records.get)
    data = tmp_path / "data"
    assert set(secret_folders(data)) - {data, state} >= {tmp_path / "newer", tmp_path / "newest"}
    assert tmp_path / "old" not in secret_folders(data)
