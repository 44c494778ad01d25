"""How many files and sockets this process may have open, and how many of them are left."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import structlog

from repomesh.kernel import limits

log = structlog.get_logger("repomesh.files")

_OPEN = (Path("/proc/self/fd"), Path("/dev/fd"))  # Linux, and elsewhere


def limit() -> int:
    """The number of files that this process may have open at once."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limits.CONNECTIONS_MAX * 2 if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Raise the limit of open files to the highest that the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # some systems name a higher limit than they grant
        log.warning("limit of open files not raised", limit=soft, reason=str(error))


def reserved(open_files: int) -> int:
    """How many of `open_files` allowed files connections must leave to the rest of the server."""
    return min(limits.OPEN_FILES_RESERVED_MAX, open_files // limits.OPEN_FILES_RESERVED_SHARE)


def connections_max() -> int:
    """How many connections may be open at once."""
    files_max = limit()
    return max(1, min(limits.CONNECTIONS_MAX, files_max - reserved(files_max)))


class OpenFiles:
    """Watches how many open files are left."""

    def __init__(self) -> None:
        self._counted_at = -limits.OPEN_FILES_COUNTED_EVERY_S
        self._open = 0

    def shortage(self) -> str | None:
        """A message about the shortage of open files; None while enough are left."""
        now = time.monotonic()
        if now - self._counted_at >= limits.OPEN_FILES_COUNTED_EVERY_S:
            self._open, self._counted_at = _count_open_files(), now
        files_max = limit()
        remaining = files_max - self._open
        needed = max(1, min(limits.OPEN_FILES_SPARE_MIN, files_max // limits.OPEN_FILES_SPARE_SHARE))
        if remaining >= needed:
            return None
        return f"{max(remaining, 0)} of {files_max} open files are left, fewer than {needed}"


def _count_open_files() -> int:
    """The number of files that are open; all, when not even one more can be opened to count them."""
    for folder in _OPEN:
        try:
            return sum(1 for _ in folder.iterdir())
        except FileNotFoundError:
            continue
        except OSError:
            return limit()
    return 0
