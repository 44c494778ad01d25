"""The sandbox of checks: bubblewrap, without network, with nothing writable but the work tree and /tmp."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self

import structlog

from repomesh.kernel import limits, trust

Sandbox = Literal["auto", "off", "required"]
log = structlog.get_logger("repomesh.queue")

_PROBE_S = 10.0
_PROBED_AGAIN_S = 60.0  # after a failure: somebody may have installed bubblewrap or allowed namespaces
_END_S = 10.0  # for the kernel to end all processes of a sandbox; it takes milliseconds
# Without its capabilities root can't take the mounts away again.
_ISOLATION = (
    *("--cap-drop", "ALL", "--unshare-net", "--unshare-pid", "--unshare-ipc"),
    *("--die-with-parent", "--new-session"),
)
_BASE = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
_IN_MEMORY = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own
_SOCKETS = (Path("/run"),)  # of PostgreSQL, Docker, D-Bus: they let in whoever runs as the user
_KEYS = (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh")


class SandboxMissing(Exception):
    """The configuration requires a sandbox, and bubblewrap can't make one here."""


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """What a sandbox shows: `writable` to write to and `readable` to read, wherever they are.

    `secret` folders are empty in it, but for what of the other two lies in them.
    """

    writable: Path
    readable: Path
    secret: Sequence[Path] = ()

    def as_mounts(self) -> list[str]:
        """The mounts as options of bubblewrap. Links are followed, since it mounts on no link."""
        resolved = {Path(os.path.realpath(folder)) for folder in self.secret}
        masked = [
            str(folder) for folder in sorted(resolved) if folder.is_dir() and not _is_in(folder, resolved)
        ]
        mounts = [word for folder in masked for word in ("--tmpfs", folder)]
        mounts += ["--ro-bind", str(self.readable), str(self.readable)]
        mounts += ["--bind", str(self.writable), str(self.writable)]
        return mounts + [word for folder in masked for word in ("--remount-ro", folder)]


def secret_folders(data: Path) -> list[Path]:
    """The folders with secrets: tokens and databases of repomesh, whom the user trusts, keys, and sockets.

    `data` is this server's data folder; those of the user's other servers stand in the state folder. Of these
    it is the SANDBOX_MASKS_MAX that changed last: each costs a mount for each check.
    """
    folders = [data, *_SOCKETS, *(Path.home() / name for name in _KEYS)]
    with suppress(trust.StateFolderUnusable, OSError):
        state = trust.state_folder()
        folders.append(state)
        records = (trust.read_record(entry.name) for entry in os.scandir(state / "folders"))
        others = [Path(record["path"]) for record in records if record and "path" in record]
        folders += _newest(others, limits.SANDBOX_MASKS_MAX)
    return folders


def _newest(folders: Sequence[Path], count_max: int) -> list[Path]:
    """The folders that changed last, of those that are there. Warns where there are more."""
    changed_at: dict[Path, float] = {}
    for folder in folders:
        with suppress(OSError):
            changed_at[folder] = folder.stat().st_mtime
    newest = sorted(changed_at, key=lambda folder: -changed_at[folder])
    if len(newest) > count_max:
        _warn_of_old_folders()
    return newest[:count_max]


@cache
def _warn_of_old_folders() -> None:
    """Log, once for this process, that not all data folders are hidden."""
    log.warning("checks can read old data folders of repomesh", hidden=limits.SANDBOX_MASKS_MAX)


def sandboxed(
    arguments: Sequence[str], paths: SandboxPaths, sandbox: Sandbox, files_bytes_max: int, info: int
) -> list[str]:
    """The command in the sandbox that the configuration asks for; as it is where 'auto' finds none.

    /tmp and /dev/shm lie in memory and take `files_bytes_max` each. bubblewrap writes to the file descriptor
    `info` which process it started. Raises SandboxMissing.
    """
    if sandbox == "off":
        return list(arguments)
    problem = sandbox_problem()
    if problem is None:
        mounts = [*_memory_mounts(files_bytes_max), *paths.as_mounts()]
        settings = ["--setenv", "TMPDIR", _IN_MEMORY[0], "--chdir", str(paths.writable)]
        settings += ["--info-fd", str(info)]
        return ["bwrap", *_BASE, *mounts, *_ISOLATION, *settings, "--", *arguments]
    if sandbox == "required":
        raise SandboxMissing(f"queue.sandbox is 'required', and {problem}")
    _last_probe.warn_once()
    return list(arguments)


def _memory_mounts(bytes_max: int) -> list[str]:
    """The mounts for temporary files, as options of bubblewrap; nothing else below /dev can be written."""
    size = ["--size", str(bytes_max)] if _takes_sizes() else []
    return [*(word for folder in _IN_MEMORY for word in (*size, "--tmpfs", folder)), "--remount-ro", "/dev"]


@cache
def _takes_sizes() -> bool:
    """Whether this bubblewrap bounds what a folder in memory takes: before 0.7 it is half of the memory."""
    shown = subprocess.run(["bwrap", "--help"], capture_output=True, timeout=_PROBE_S, check=False)  # noqa: S607
    return b"--size" in shown.stdout + shown.stderr


def sandbox_problem() -> str | None:
    """Why there is no sandbox on this machine; None where there is one.

    A success is remembered, a failure for a minute.
    """
    return _last_probe.problem()


def forget_sandbox_probe() -> None:
    """Look for bubblewrap again at the next question."""
    _last_probe.forget()


class _LastProbe:
    """What the last look for a sandbox found."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._problem: str | None = None
        self._probed_at: float | None = None
        self._warned = False

    def problem(self) -> str | None:
        now = time.monotonic()
        is_old = self._problem is not None and now - (self._probed_at or 0.0) > _PROBED_AGAIN_S
        if self._probed_at is None or is_old:
            self._problem, self._probed_at = _probe(), now
        return self._problem

    def warn_once(self) -> None:
        """Log that checks run without a sandbox, where bubblewrap is installed and fails."""
        if not self._warned and shutil.which("bwrap") is not None:
            self._warned = True
            log.warning("checks run without a sandbox", reason=self._problem)


_last_probe = _LastProbe()  # of the process: the machine is the same for all workspaces


def _probe() -> str | None:
    """Try to make a sandbox: bubblewrap may be installed and fail, as in a container without namespaces."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    try:
        tried = subprocess.run(  # noqa: S603 - our own words
            ["bwrap", *_BASE, *_memory_mounts(limits.CHECK_MEMORY_MIN), *_ISOLATION, "--", "true"],  # noqa: S607 - as PATH says, like the checks' own
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap can't be started: {error}"
    if tried.returncode:
        shown = tried.stderr.decode("utf-8", "replace").strip()[:200]
        return f"bubblewrap can't make a sandbox here: {shown or tried.returncode}"
    return None


class SandboxInfo:
    """A pipe in which bubblewrap names the first process of a sandbox, with which all others end.

    bubblewrap itself ends before the kernel has ended those that a check left behind.
    """

    def __enter__(self) -> Self:
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._read_end)
        os.close(self.write_end)

    def inherited_by(self, command: Sequence[str]) -> list[int]:
        """The file descriptors that a command inherits: none unless it is bubblewrap."""
        return [self.write_end] if command[0] == "bwrap" else []

    def wait_for_end(self) -> None:
        """Wait until the sandbox has ended; at once where there was none. Blocks for milliseconds."""
        with suppress(OSError, ValueError, KeyError):  # nothing was written, or the process is gone already
            written = os.read(self._read_end, limits.SANDBOX_INFO_BYTES_MAX).decode()
            first, _ = json.JSONDecoder().raw_decode(written)  # before the check could have written to it
            process = os.pidfd_open(int(first["child-pid"]))
            try:
                select.select([process], [], [], _END_S)
            finally:
                os.close(process)


def bounded(arguments: Sequence[str], memory_mb: int | None) -> list[str]:
    """The command with a limit on the memory of each of its processes, if there is one.

    A shell that can't set it ends with the reason, and does not start the command. Where the machine's memory
    is short, Linux ends the command's processes before all others, such as the server.
    """
    first_to_end = "echo 1000 2>/dev/null >/proc/self/oom_score_adj"
    limit, kb = ("true", "sh") if memory_mb is None else ('ulimit -v "$0"', str(memory_mb * 1024))
    return ["/bin/sh", "-c", f'{first_to_end}; {limit} && exec "$@"', kb, *arguments]


def _is_in(folder: Path, others: set[Path]) -> bool:
    return any(other != folder and folder.is_relative_to(other) for other in others)
