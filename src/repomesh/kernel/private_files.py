"""Opens files of the data folder and of its record: regular files of this user, never through a link."""

from __future__ import annotations

import errno
import fcntl
import os
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
    draft = draft_path(path)
    with os.fdopen(create_draft(draft), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)


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


def draft_path(target: Path) -> Path:
    """Where this process writes a file before it gets its name."""
    return target.with_name(f".{target.name}.{os.getpid()}.draft")


def create_draft(path: Path) -> int:
    """A descriptor of a new, empty file that only its owner may read; it is locked until it is closed.

    The lock ends with the process, so a draft that nobody holds was left by one that died.
    """
    while True:
        path.unlink(missing_ok=True)  # of a process with the same number, which is gone
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):  # it was swept before it was locked
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        os.close(descriptor)
