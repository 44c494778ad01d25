"""The data folder as its server uses it: made, held, with the token file and the note of who serves it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from repomesh.kernel import pidfile
from repomesh.kernel.errors import Conflict
from repomesh.kernel.places import DATABASE, LOCK, SERVER, TOKEN, read_secret, read_server

__all__ = [
    "DATABASE",
    "LOCK",
    "SERVER",
    "TOKEN",
    "FolderInUse",
    "forget_server",
    "held",
    "holder",
    "prepare",
    "read_secret",
    "read_server",
    "write_secret",
    "write_server",
]


_LOOK_EVERY_S = 0.05  # whether who holds the folder is done


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


@contextmanager
def held(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the folder's lock; raises FolderInUse with the holder's pid, and its URL if it is a server.

    Who is no server, or not yet, has `patience_s` to be done with it.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with pidfile.held(folder / LOCK) as taken:
            if taken.by_us:
                yield
                return
        note = read_server(folder)
        url = note["url"] if note and note["pid"] == taken.pid else None
        if url is not None or time.monotonic() >= deadline:
            where = f" and answers at {url}" if url else ""
            raise FolderInUse(f"process {taken.pid or '?'} holds {folder}{where}", pid=taken.pid, url=url)
        time.sleep(_LOOK_EVERY_S)


def holder(folder: Path) -> int | None:
    """The process that holds the folder's lock at this moment; None when nobody does."""
    return pidfile.holder(folder / LOCK)


def write_server(folder: Path, pid: int, url: str, version: str) -> None:
    """Say where the server of this folder answers."""
    draft = folder / f".{SERVER}.{pid}"
    draft.write_bytes(orjson.dumps({"pid": pid, "url": url, "version": version}))
    draft.replace(folder / SERVER)


def forget_server(folder: Path) -> None:
    """Remove the note of a server that has stopped."""
    (folder / SERVER).unlink(missing_ok=True)
