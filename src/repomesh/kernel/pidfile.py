"""A file that one process holds, and that says which: of a server's data folder, of its daemon."""

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
    """Whether the file was taken, and the process that holds it, None when it has not said who it is."""

    by_us: bool
    pid: int | None


@contextmanager
def held(path: Path) -> Iterator[PidfileClaim]:
    """Hold the file while inside, unless another process does.

    The lock belongs to the process: the operating system lets go of it however the process ends.
    Raises UnsafeFile when there is a link, a pipe or another user's file in its place.
    """
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        if _locked(descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield PidfileClaim(True, os.getpid())
        else:
            yield PidfileClaim(False, _pid(descriptor))
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
        return _pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Take the lock; a moment's patience, because `holder` tries it, too."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return True
    return False


def _pid(descriptor: int) -> int | None:
    written = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(written) if written.isdigit() else None
