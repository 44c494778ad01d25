"""Contents too large for the database: files of the data folder, named by their SHA-256.

A file is complete and durable before the row that names it commits. A file that no row names is garbage of
a command that failed or of something deleted, and is swept once it is old enough not to be on its way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = "contents"
_LOCK = ".lock"


def digest(content: bytes) -> str:
    """The SHA-256 of a content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def keep(data: Path, sha256: str, content: bytes) -> None:
    """Have the content on disk under its digest; what is there already is only marked as wanted."""
    folder = data / FOLDER
    path = _path(folder, sha256)
    with _locked(folder):
        if _touched(path, len(content)):
            return
    draft = folder / f".{sha256}.{os.getpid()}.{time.monotonic_ns()}"
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with _locked(folder):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            draft.replace(path)
            for entry in (path.parent, folder):
                _sync(entry)
    finally:
        draft.unlink(missing_ok=True)


def read(data: Path, sha256: str) -> bytes | None:
    """The content with this digest; None when it is not there or is not what it was."""
    try:
        content = _path(data / FOLDER, sha256).read_bytes()
    except FileNotFoundError:
        return None
    return content if digest(content) == sha256 else None


def old(data: Path, age_s: float, most: int, after: str = "") -> list[str]:
    """The digests behind `after`, in order, of up to `most` files that nobody wrote or wanted for so long."""
    folder = data / FOLDER
    if not folder.is_dir():
        return []
    before = time.time() - age_s
    found: list[str] = []
    for shelf in sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name >= after[:2]):
        for path in sorted(shelf.iterdir()):
            if path.name > after and path.stat().st_mtime < before:
                found.append(path.name)
                if len(found) == most:
                    return found
    return found


def drop_drafts(data: Path, age_s: float) -> None:
    """Remove what a writer that died left behind."""
    for draft in (data / FOLDER).glob(".*.*"):
        with suppress(FileNotFoundError):
            if draft.stat().st_mtime < time.time() - age_s:
                draft.unlink()


def remove(data: Path, sha256: str, age_s: float) -> bool:
    """Remove a file unless somebody wanted it in the meantime; whether it is gone."""
    folder = data / FOLDER
    path = _path(folder, sha256)
    with _locked(folder):
        try:
            if path.stat().st_mtime >= time.time() - age_s:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def _path(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _touched(path: Path, size: int) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep the sweeper, which may be another process, and those who write from each other for a moment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
