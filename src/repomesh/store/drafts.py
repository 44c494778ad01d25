"""Drafts: new files that get their name when they are complete, and the removal of abandoned ones.

The process that writes a draft holds a lock on it, which ends with the process. So an unlocked draft was left
by a process that died, even if another process has the same number now.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repomesh.kernel.private_files import create_draft, listed

SIDES = ("", "-wal", "-shm", "-journal")
"""What SQLite may keep beside a database file under its name."""

_NAME = re.compile(r"(\..+\.\d+\.draft)(-wal|-shm|-journal)?")


@contextmanager
def draft(target: Path) -> Iterator[Path]:
    """A new file beside `target` that only its owner may read; the block renames it when it is complete.

    If it still has the draft's name at the end, it is removed.
    """
    path, descriptor = create_draft(target)
    try:
        yield path
    finally:
        _remove(path)
        os.close(descriptor)


def sweep(folder: Path, name: str | None = None) -> list[str]:
    """Remove the drafts of a folder that no process holds; returns their names.

    With `name` only the drafts of this file, for folders with files of other programs.
    """
    removed = []
    for path in listed(folder, ".*.draft*" if name is None else f".{glob.escape(name)}.*.draft*"):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        if match[2] is not None:  # a side goes with its file, or when that is gone
            if not path.with_name(match[1]).exists():
                path.unlink(missing_ok=True)
        elif _remove_unlocked(path):
            removed.append(path.name)
    return removed


def sync_file(path: Path) -> None:
    """Sync a file's content to disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, so that a new name survives a power failure."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_unlocked(path: Path) -> bool:
    """Remove the draft if it is a plain file of ours that nobody holds; returns whether it was.

    It is locked until it is removed, so that whoever has made it, and waits for the lock, makes another.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # gone meanwhile, a link, or somebody else's
        return False
    try:
        file_stat = os.fstat(descriptor)
        if not stat.S_ISREG(file_stat.st_mode) or file_stat.st_uid != os.getuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(path: Path) -> None:
    for side in SIDES:
        path.with_name(path.name + side).unlink(missing_ok=True)
