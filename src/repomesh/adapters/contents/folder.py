"""Contents as files of the data folder, in folders of the first two digits of their SHA-256.

A file is complete and on disk before the row that names it commits. A file that no row names was left by a
command that failed or by something that was deleted; it is swept once it is old enough not to be on its way.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from repomesh.adapters.contents.damage import damaged_content
from repomesh.kernel.data_folder import CONTENTS
from repomesh.kernel.errors import Unavailable
from repomesh.kernel.private_files import listed
from repomesh.store.drafts import sync_folder
from repomesh.store.transaction import Transaction

_LOCK = ".lock"


class FolderContents:
    """Keeps contents in the folder `contents` of a data folder that no other server uses."""

    def __init__(self, data: Path) -> None:
        self._folder = data / CONTENTS

    def keep(self, sha256: str, content: bytes) -> None:
        """Bring the content to disk under its digest; a file that is whole is only marked as used now.

        Raises Unavailable when the disk is full or fails.
        """
        try:
            self._write_content(sha256, content)
        except OSError as error:
            raise Unavailable(f"the content can't be written: {error}") from error

    def read(self, tx: Transaction, sha256: str) -> bytes:
        """Read a file; `tx` is not used. Raises DamagedRecord when it is gone, unreadable or changed."""
        return self.read_file(sha256)

    def read_file(self, sha256: str) -> bytes:
        """Read a file. Raises DamagedRecord when it is gone, can't be read, or does not fit its digest."""
        try:
            content = self._path(sha256).read_bytes()
        except OSError as error:
            raise damaged_content(sha256, error.strerror or type(error).__name__) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise damaged_content(sha256, "its bytes have changed")
        return content

    def old(self, age_s: float, count_max: int, after: str = "") -> list[str]:
        """List up to `count_max` digests behind `after`, in order, that nothing kept within `age_s`."""
        before = time.time() - age_s
        digests: list[str] = []
        for shard in listed(self._folder):
            if not shard.is_dir() or shard.name < after[:2]:
                continue
            for path in listed(shard, "[0-9a-f]*"):
                if path.name > after and _is_older(path, before):
                    digests.append(path.name)
                    if len(digests) == count_max:
                        return digests
        return digests

    def remove(self, sha256: str, age_s: float) -> bool:
        """Remove a file unless it was kept within `age_s` seconds; answers whether it was removed.

        Raises Unavailable when the file can't be removed.
        """
        path = self._path(sha256)
        try:
            with self._lock_folder():
                if not _is_older(path, time.time() - age_s):
                    return False
                path.unlink()
        except OSError as error:
            raise Unavailable(f"the content {sha256} can't be removed: {error}") from error
        return True

    def drop_unfinished(self, age_s: float) -> None:
        """Remove the drafts of writers that died more than `age_s` seconds ago."""
        for draft in listed(self._folder, ".*.*"):
            if _is_older(draft, time.time() - age_s):
                draft.unlink(missing_ok=True)

    def _write_content(self, sha256: str, content: bytes) -> None:
        path = self._path(sha256)
        with self._lock_folder():
            if _is_whole(path, sha256):
                os.utime(path)
                return
        draft = self._folder / f".{sha256}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._lock_folder():
                path.parent.mkdir(mode=0o700, exist_ok=True)
                draft.replace(path)
                for entry in (path.parent, self._folder):
                    sync_folder(entry)
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    @contextmanager
    def _lock_folder(self) -> Iterator[None]:
        """Lock the folder against writers and the sweeper, which may be other processes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_older(path: Path, moment: float) -> bool:
    """Whether a file was last kept before `moment`; not when it was removed meanwhile."""
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False


def _is_whole(path: Path, sha256: str) -> bool:
    """Whether the file is there with the bytes of its digest."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    return False
