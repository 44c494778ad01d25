"""Lock files that hold the id of the process that locked them: a server's, and its daemon's."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from repomesh.kernel.private_files import open_private

_TRIES: Final = 4
_BETWEEN_TRIES_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class PidfileClaim:
    """Whether this process locked the file, and the id of the process that did; None if not yet written."""

    by_us: bool
    pid: int | None


@contextmanager
def hold(path: Path) -> Iterator[PidfileClaim]:
    """Lock the file inside the context, unless another process holds it.

    The operating system releases the lock however the process ends.
    Raises UnsafeFile when there is a link, a pipe or another user's file in its place.
    """
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        if _try_lock(descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield PidfileClaim(True, os.getpid())
        else:
            yield PidfileClaim(False, _read_pid(descriptor))
    finally:
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """The process that holds the file at this moment; None when nobody does."""
    try:
        descriptor = open_private(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _try_lock(descriptor: int) -> bool:
    """Try to take the lock, a few times, because `holder` takes it for a moment, too."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return True
    return False


def _read_pid(descriptor: int) -> int | None:
    content = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(content) if content.isdigit() else None
