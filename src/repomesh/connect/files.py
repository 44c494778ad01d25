"""Reads and writes settings files: through symbolic links, atomically, and with their previous mode."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repomesh.connect.errors import BrokenSettings, ReadOnlySettings, SettingsChanged

_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """A settings file as it was read. `target` is the path behind links; `text` is None without a file."""

    path: Path
    target: Path
    text: str | None
    mode: int = 0o644


def read(path: Path) -> Content:
    """Read a settings file; raises BrokenSettings when it is not UTF-8, too large, or no regular file."""
    target = Path(os.path.realpath(path))
    try:
        file_stat = target.stat()
        if not stat.S_ISREG(file_stat.st_mode) or file_stat.st_size > _BYTES_MAX:
            raise BrokenSettings(f"{path} is no file of settings")
        return Content(path, target, target.read_bytes().decode(), stat.S_IMODE(file_stat.st_mode))
    except FileNotFoundError:
        return Content(path, target, None)
    except UnicodeDecodeError as error:
        raise BrokenSettings(f"{path} is not UTF-8: byte {error.start}") from None


def require_writable(content: Content) -> None:
    """Raise ReadOnlySettings when the file, or the folder that holds it, may not be written.

    The mode counts for the superuser, too: a read-only file is meant to be one.
    """
    existing = content.target if content.text is not None else _nearest_existing(content.target.parent)
    for path in (existing, content.target.parent) if content.text is not None else (existing,):
        if not os.access(path, os.W_OK) or not _mode(path) & 0o222:
            raise ReadOnlySettings(f"{path} is read-only", path=str(content.path))


def _mode(path: Path) -> int:
    """The mode of a file or folder; raises SettingsChanged when it is gone."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise SettingsChanged(f"{path} was removed meanwhile", path=str(path)) from None


def _nearest_existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def missing_folders(content: Content) -> list[str]:
    """The folders that writing the file creates, the innermost first."""
    missing, folder = [], content.target.parent
    while not folder.exists():
        missing.append(str(folder))
        folder = folder.parent
    return missing


def replace(content: Content, text: str | None) -> None:
    """Write `text`, or remove the file for None; raises SettingsChanged if it changed since it was read."""
    if read(content.path).text != content.text:
        raise SettingsChanged(f"{content.path} was changed meanwhile", path=str(content.path))
    if text is None:
        content.target.unlink(missing_ok=True)
        return
    content.target.parent.mkdir(parents=True, exist_ok=True)
    _write(content.target, text, content.mode)


def write_private(path: Path, text: str) -> None:
    """Write a file, in a folder created if needed, that only the owner may read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, text, 0o600)


@contextmanager
def settings_lock(home: Path) -> Iterator[None]:
    """Lock connecting and disconnecting for a user inside the block; other processes wait."""
    descriptor = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_folders(folders: list[str]) -> None:
    """Remove the folders that are empty, the innermost first."""
    for folder in folders:
        try:
            Path(folder).rmdir()
        except OSError:  # it is in use
            return


def _write(target: Path, text: str, mode: int) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
