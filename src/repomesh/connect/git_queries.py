"""Runs git for the guard, with a limit on how long it may take to answer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from repomesh.connect.errors import GitRefused
from repomesh.kernel import limits


def run_git(
    start: Path,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    input_: bytes | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of git in `start`, with options of git itself; returns its output and exit code.

    `environment` is added to this process's own. The repository's file system monitor is a program: it is
    not asked. Raises GitRefused when git takes longer than GUARD_GIT_S.
    """
    try:
        return subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(start), "-c", "core.fsmonitor=false", *options, *command],  # noqa: S607 - the user's git
            input=input_,
            capture_output=True,
            env=os.environ | (environment or {}),
            check=False,
            timeout=limits.GUARD_GIT_S,
        )
    except subprocess.TimeoutExpired:
        raise GitRefused(f"git {command[0]} did not answer within {limits.GUARD_GIT_S:g} s") from None
