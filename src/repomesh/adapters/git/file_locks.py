"""Locks on files, which the kernel releases when every process that has them open has ended.

A command that inherits the file descriptor of a lock keeps it when the server that started it is killed: what
it does is over before anybody else gets the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from repomesh.adapters.git.errors import GitFailed
from repomesh.adapters.git.repository import Repository
from repomesh.kernel import limits


def try_lock(file: Path) -> int | None:
    """Lock a file, which is made if need be; returns its descriptor, None when another process has it.

    Raises OSError when it can't be made.
    """
    while True:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its holder removes it just now, perhaps with its folder
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def unlock(descriptor: int) -> None:
    """Release a lock, also for processes that inherited it."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextmanager
def branch_lock(repository: Repository, branch: str) -> Iterator[int]:
    """Be the only one on this machine that moves a branch; gives the descriptor for git to inherit.

    Raises GitFailed when another worker has not ended its move within QUEUE_LOCK_S.
    """
    name = hashlib.sha256(branch.encode()).hexdigest()[:32]
    file = repository.git_dir / "repomesh" / f"{name}.lock"
    try:
        descriptor = _lock(file, limits.QUEUE_LOCK_S)
    except OSError as error:
        raise GitFailed(f"{file} can't be locked: {error}") from None
    if descriptor is None:
        raise GitFailed(f"another process has been moving {branch} for more than {limits.QUEUE_LOCK_S:g} s")
    try:
        _remove_left_lock(descriptor, repository.git_dir / "refs" / "heads" / f"{branch}.lock")
        yield descriptor
    finally:
        unlock(descriptor)


@contextmanager
def moving_ref(descriptors: Sequence[int]) -> Iterator[None]:
    """Note in the branch's lock that its ref is being moved, for as long as the block runs.

    libgit2 locks the ref by a file, which stays where this process is killed inside of the block: nobody
    could move the branch any more. Whoever gets the branch's lock next finds the note, and removes the file.
    """
    for descriptor in descriptors:
        os.pwrite(descriptor, str(time.time_ns()).encode(), 0)
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.ftruncate(descriptor, 0)


def _remove_left_lock(descriptor: int, ref_lock: Path) -> None:
    """Remove the lock of a ref that a killed process left, as the note in the branch's lock says."""
    note = os.pread(descriptor, 32, 0)
    if not note.isdigit():
        return
    with suppress(OSError):
        after_s = ref_lock.stat().st_mtime - int(note) / 1e9
        if abs(after_s) <= limits.QUEUE_REF_LOCK_LEFT_S:  # else it is somebody else's
            ref_lock.unlink()
    os.ftruncate(descriptor, 0)


def _lock(file: Path, limit_s: float) -> int | None:
    deadline = time.monotonic() + limit_s
    while (descriptor := try_lock(file)) is None and time.monotonic() < deadline:
        time.sleep(limits.QUEUE_LOCK_POLL_S)
    return descriptor
