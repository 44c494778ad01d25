"""Runs git without anything that the repository or the user has configured, unless a caller asks for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from repomesh.adapters.git.errors import GitFailed
from repomesh.kernel import limits

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
_FOR_REMOTES = ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS")
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8", "GIT_PAGER": "cat"}
_NO_CONFIGURATION = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
}
NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
"""Options of git by which it runs no hook."""

_OURS = (
    *NO_HOOKS,
    *(
        "-c",
        "safe.directory=*",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ),
    *("-c", "core.attributesFile=" + os.devnull, "-c", "core.excludesFile=" + os.devnull),
    *("-c", "protocol.ext.allow=never", "-c", "submodule.recurse=false", "-c", "commit.gpgSign=false"),
)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a git that reads no configuration of the user or the system, and asks nothing."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | _QUIET | _NO_CONFIGURATION | dict(extra or {})


def user_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a git that uses the user's configuration and keys: for remotes and work trees."""
    names = (*_PASSED_ON, *_FOR_REMOTES, "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL")
    passed_on = {name: os.environ[name] for name in names if name in os.environ}
    return passed_on | _QUIET | {"GIT_OPTIONAL_LOCKS": "1"} | dict(extra or {})


def run_git(
    git_dir: Path | None,
    arguments: Sequence[str],
    *,
    input_: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    work_tree: Path | None = None,
    limit_s: float = limits.QUEUE_GIT_S,
    accepted: Sequence[int] = (0,),
    inherited_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of git on a git folder, or on none; by default without configuration, hook or prompt.

    `inherited_fds` are file descriptors of locks on what it works on: kept also when this process ends.
    What it writes into a work tree is for those who may enter that tree's folder; this process's own umask
    is for private files. Raises GitFailed when it takes longer than `limit_s`, can't be started, or ends with
    an exit code that is not among `accepted`.
    """
    where = [] if git_dir is None else ["--git-dir", str(git_dir)]
    if work_tree is not None:
        where = ["-C", str(work_tree)]
    command = ["git", *_OURS, *where, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            command,
            input=input_ if input_ is not None else b"",
            capture_output=True,
            env=clean_environment() if environment is None else dict(environment),
            check=False,
            timeout=limit_s,
            pass_fds=inherited_fds,
            umask=-1 if work_tree is None else _umask_of(work_tree),
        )
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git {arguments[0]} did not end within {limit_s:g} s") from None
    except OSError as error:
        raise GitFailed(f"git can't be started: {error}") from None
    if done.returncode not in accepted:
        raise GitFailed(f"git {arguments[0]} failed: {describe_failure(done)}")
    return done


def _umask_of(work_tree: Path) -> int:
    return 0o777 & ~work_tree.stat().st_mode


def describe_failure(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git wrote about its failure, on one line and bounded."""
    text = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
    return text[: limits.QUEUE_ERROR_CHARS_MAX] or f"exit code {done.returncode}"
