"""Reads and writes settings files: through symbolic links, whole or not at all, with the mode they had."""

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
    """A settings file as it was read. `target` is what a symbolic link leads to; no `text`: there is none."""

    path: Path
    target: Path
    text: str | None
    mode: int = 0o644


def read(path: Path) -> Content:
    """A settings file; raises BrokenSettings when it is no text, or no file."""
    target = Path(os.path.realpath(path))
    try:
        found = target.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _BYTES_MAX:
            raise BrokenSettings(f"{path} is no file of settings")
        return Content(path, target, target.read_bytes().decode(), stat.S_IMODE(found.st_mode))
    except FileNotFoundError:
        return Content(path, target, None)
    except UnicodeDecodeError as error:
        raise BrokenSettings(f"{path} is not UTF-8: byte {error.start}") from None


def require_writable(content: Content) -> None:
    """Raise ReadOnlySettings when the file, or the folder that is to hold it, may not be written.

    The mode counts for the superuser, too: who took the right to write away meant it.
    """
    place = content.target if content.text is not None else _existing(content.target.parent)
    for checked in (place, content.target.parent) if content.text is not None else (place,):
        if not os.access(checked, os.W_OK) or not _mode(checked) & 0o222:
            raise ReadOnlySettings(f"{checked} is read-only", path=str(content.path))


def _mode(path: Path) -> int:
    """The mode of a file or folder; raises SettingsChanged when it is gone."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise SettingsChanged(f"{path} was removed meanwhile", path=str(path)) from None


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def missing_folders(content: Content) -> list[str]:
    """The folders that writing the file makes, the innermost first."""
    found, folder = [], content.target.parent
    while not folder.exists():
        found.append(str(folder))
        folder = folder.parent
    return found


def replace(content: Content, text: str | None) -> None:
    """Put `text` in the place of what was read, or remove the file; raises SettingsChanged if it changed."""
    if read(content.path).text != content.text:
        raise SettingsChanged(f"{content.path} was changed meanwhile", path=str(content.path))
    if text is None:
        content.target.unlink(missing_ok=True)
        return
    content.target.parent.mkdir(parents=True, exist_ok=True)
    _write(content.target, text, content.mode)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in a folder that is so, too."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, text, 0o600)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Be the only one of a person's processes that connects or disconnects; others wait."""
    descriptor = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_folders(folders: list[str]) -> None:
    """Remove those that are empty, the innermost first."""
    for folder in folders:
        try:
            Path(folder).rmdir()
        except OSError:  # somebody uses it by now
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
