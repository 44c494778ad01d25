"""Opens files of the data folder and of its record: regular files of this user, never through a link."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from repomesh.kernel.errors import Forbidden
from repomesh.kernel.limits import PRIVATE_FILE_BYTES_MAX

_NOT_REGULAR: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR, errno.ENODEV})


class UnsafeFile(Forbidden):
    """A file of the data folder is a symbolic link, a pipe, a device, or another user's."""

    code = "unsafe_file"
    hint = "Remove the file with 'rm'; repomesh makes a new one when it needs it."


def open_private(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
    """A descriptor of a regular file of this user; a new file gets the mode 0600.

    Never follows a link at the end of the path, and never waits for the other end of a pipe.
    Raises UnsafeFile, and FileNotFoundError when there is none.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _NOT_REGULAR:
            raise UnsafeFile(f"{path} is no regular file", path=str(path)) from None
        raise
    file_stat = os.fstat(descriptor)
    if stat.S_ISREG(file_stat.st_mode) and file_stat.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    fault = f"belongs to user {file_stat.st_uid}" if stat.S_ISREG(file_stat.st_mode) else "is no regular file"
    raise UnsafeFile(f"{path} {fault}", path=str(path))


def read_private(path: str | Path, *, dir_fd: int | None = None) -> bytes | None:
    """The content of a small file; None when there is none. Raises UnsafeFile, also when it is too long."""
    try:
        descriptor = open_private(path, os.O_RDONLY, dir_fd=dir_fd)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(PRIVATE_FILE_BYTES_MAX + 1)
    if len(content) > PRIVATE_FILE_BYTES_MAX:
        raise UnsafeFile(f"{path} is longer than {PRIVATE_FILE_BYTES_MAX} bytes", path=str(path))
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; an existing file is replaced whole, a link included."""
    draft, descriptor = create_draft(path)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def size_bytes(path: Path) -> int | None:
    """The size of a file, which others may remove at any moment; None when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def listed(folder: Path, pattern: str = "*") -> list[Path]:
    """What is in a folder, in order, under names that fit the pattern; nothing when there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if fnmatchcase(path.name, pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []


def create_draft(target: Path) -> tuple[Path, int]:
    """A new, empty file beside `target`, to be written and then renamed to it, and its descriptor.

    Only its owner may read it. It is locked until it is closed, and the lock ends with the process: a draft
    that nobody holds was left by one that died. No name is given twice, so removing one left behind can't
    remove a later one.
    """
    while True:
        path = target.with_name(f".{target.name}.{secrets.randbits(63)}.draft")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):  # it was swept before it was locked
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return path, descriptor
        os.close(descriptor)
