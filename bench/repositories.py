"""Repositories that the merge queue is measured on: many files, and changes of one file each."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_WHO = {
    f"GIT_{role}_{part}": "bench@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for part in ("NAME", "EMAIL")
}


@dataclass(frozen=True, slots=True)
class Changes:
    """A repository whose branch main is at `base`, and branches on that which change a file each."""

    path: Path
    base: str
    branches: list[str]
    heads: list[str]


def git(path: Path, *words: str, input_: bytes = b"") -> str:
    """What git prints, without the user's configuration."""
    environment = os.environ | _WHO | {"GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["git", *words], cwd=path, input=input_, capture_output=True, env=environment, check=True
    )
    return done.stdout.decode().strip()


def make(path: Path, files: int, count: int, extra: Mapping[str, str] | None = None) -> Changes:
    """A repository of so many files, `extra` ones among them, and `count` branches on its first commit.

    Its main branch is not checked out.
    """
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "gc.auto", "0")  # one that a commit starts would be in the way of the one below
    for number in range(files):
        file = path / _name(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 20)
    for name, content in (extra or {}).items():
        (path / name).write_text(content)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "base")
    git(path, "gc", "--quiet")
    git(path, "checkout", "-q", "--detach")
    base = git(path, "rev-parse", "HEAD")
    lines: list[str] = []
    for number in range(count):
        body = f"{number}\n" * 20 + "changed\n"
        lines += [
            f"commit refs/heads/c{number}",
            f"mark :{number + 1}",
            "committer b <b@example.org> 1700000000 +0000",
            f"data 1\nc\nfrom {base}",
            f"M 100644 inline {_name(number)}",
            f"data {len(body)}\n{body}",
        ]
    git(path, "fast-import", "--quiet", input_="\n".join(lines).encode() + b"\n")
    branches = [f"c{number}" for number in range(count)]
    return Changes(path, base, branches, git(path, "rev-parse", *branches).split())


def cherry_pick_ms(changes: Changes, count: int, check: Sequence[str] = ()) -> float:
    """The median of `git cherry-pick` in a work tree that is reused, with the command `check` behind each."""
    tree = changes.path.parent / f"picks-{changes.path.name}"
    git(changes.path, "worktree", "add", "-q", "--detach", str(tree), changes.base)
    taken = []
    for head in changes.heads[:count]:
        begun = time.perf_counter()
        git(tree, "cherry-pick", "--allow-empty", head)
        if check:
            subprocess.run(check, cwd=tree, check=True)
        taken.append(time.perf_counter() - begun)
    git(changes.path, "worktree", "remove", "--force", str(tree))
    return statistics.median(taken) * 1e3


def _name(number: int) -> str:
    return f"d{number % 50}/e{number % 7}/f{number}.txt"
