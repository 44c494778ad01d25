"""Landing a batch, beside mergetrain (PyPI): a local merge queue for agents that work in git work trees.

Both take the same committed branches of one repository, merge them in order without running any checks, and
push the target branch to the same kind of bare remote. mergetrain is a command that its operator or a timer
starts; the server runs. So what is compared is the time from the moment at which the batch may land until it
has, and the time in which a change is handed in on the command line. mergetrain needs each branch in a work
tree of its own; making these is not measured.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.landing import FILES
from bench.messages import register
from bench.queue_client import all_at_once, queue_client
from bench.report import Report
from bench.repositories import Changes, git, make
from bench.servers import Running, repomesh

BATCH = 10
_OURS = '[queue]\nbatch_max = 10\npush = "origin"\n'
_THEIRS = "version: 2\nproject:\n  name: bench\ngates: []\n"
_COMMANDS = Path(sys.executable).parent


def measure(report: Report, folder: Path) -> None:
    """The same batch through both, each in a repository of its own."""
    folder.mkdir(parents=True)
    theirs = _with_remote(make(folder / "theirs", FILES, BATCH, {".mergetrain.yaml": _THEIRS}))
    ours = _with_remote(make(folder / "ours", FILES, 2 * BATCH, {"repomesh.toml": _OURS}))
    their_handing_in_s, their_batch_s = _mergetrain(theirs, folder / "home")
    with repomesh(ours.path / ".repomesh") as server:
        token = register(server, "author")
        our_handing_in_s = _hand_in(ours, server, token)
        our_batch_s = asyncio.run(_land(server, token, ours.branches[BATCH:]))
    for changes, count in ((theirs, BATCH), (ours, 2 * BATCH)):
        git(changes.path, "fetch", "-q", "origin")
        landed = git(changes.path, "diff", "--name-only", changes.base, "origin/main").splitlines()
        assert len(landed) == count, landed
    report.add(
        f"landing a batch of {BATCH}, pushed", BATCH / our_batch_s, "/s", "mergetrain", BATCH / their_batch_s
    )
    report.add(
        "handing in a change on the command line", our_handing_in_s, "s", "mergetrain", their_handing_in_s
    )


def _with_remote(changes: Changes) -> Changes:
    remote = changes.path.parent / f"{changes.path.name}.git"
    git(changes.path, "init", "-q", "--bare", "-b", "main", str(remote))
    git(changes.path, "remote", "add", "origin", str(remote))
    git(changes.path, "push", "-q", "origin", "main")
    git(changes.path, "fetch", "-q", "origin")
    return changes


def _mergetrain(changes: Changes, home: Path) -> tuple[float, float]:
    """Seconds in which mergetrain takes a change, and in which it lands all of them and pushes."""
    trees = [changes.path.parent / f"tree-{branch}" for branch in changes.branches]
    for branch, tree in zip(changes.branches, trees, strict=True):
        git(changes.path, "worktree", "add", "-q", str(tree), branch)
    home.mkdir()
    environment = os.environ | {"HOME": str(home)} | _IDENTITY
    command = str(_COMMANDS / "mergetrain")
    handing_in = [
        _run([command, "enqueue", "--task", branch, "--branch", branch, "--auto"], tree, environment)
        for branch, tree in zip(changes.branches, trees, strict=True)
    ]
    landing_s = _run([command, "daemon", "--once"], changes.path, environment)
    return statistics.median(handing_in), landing_s


_IDENTITY = {f"GIT_{role}_{part}": "bench" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def _hand_in(changes: Changes, server: Running, token: str) -> float:
    """Seconds in which `repomesh change submit` takes a change."""
    environment = os.environ | {"REPOMESH_URL": server.url, "REPOMESH_TOKEN": token}
    command = str(_COMMANDS / "repomesh")
    return statistics.median(
        _run([command, "change", "submit", "--branch", branch], changes.path, environment)
        for branch in changes.branches[:BATCH]
    )


async def _land(server: Running, token: str, branches: Sequence[str]) -> float:
    """Seconds from the moment at which a batch may land until the last of it has."""
    async with queue_client(server, token) as client:
        await client.empty()
        begun, changes = await all_at_once(client, branches)
        return max(await client.landed(changes)) - begun


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - begun
