"""The data folder: who holds it, the token file, and how a client finds the server that serves it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from repomesh.kernel.errors import Conflict

DATABASE = "repomesh.db"
TOKEN = "token"
SERVER = "server.json"
LOCK = "lock"


class FolderInUse(Conflict):
    """Another process serves this data folder."""

    code = "data_folder_in_use"
    hint = "Use the running server, or stop it first with 'repomesh down'."


def prepare(folder: Path) -> None:
    """Make the folder, readable by its owner only, and have git ignore it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def write_secret(path: Path, secret: str) -> None:
    """Write a secret to a new file that only its owner may read; an existing file is replaced whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_secret(path: Path) -> str | None:
    """The secret in a file, or None when there is none."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; raises FolderInUse with the holder's pid and URL.

    The lock belongs to the process: the operating system lets go of it however the process ends.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            url = (read_server(folder) or {}).get("url")
            where = f" and answers at {url}" if url else ""
            raise FolderInUse(f"process {holder} holds {folder}{where}", pid=holder, url=url) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def write_server(folder: Path, pid: int, url: str, version: str) -> None:
    """Say where the server of this folder answers."""
    draft = folder / f".{SERVER}.{pid}"
    draft.write_bytes(orjson.dumps({"pid": pid, "url": url, "version": version}))
    draft.replace(folder / SERVER)


def read_server(folder: Path) -> dict[str, str] | None:
    """What the last server of this folder said of itself; it may have stopped since."""
    try:
        content = orjson.loads((folder / SERVER).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def forget_server(folder: Path) -> None:
    """Remove the note of a server that has stopped."""
    (folder / SERVER).unlink(missing_ok=True)
