"""The data folder as its server uses it: creation, lock, token file, and the note about the server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from repomesh.kernel import pidfile, trust
from repomesh.kernel.data_folder import DATABASE, LOCK, SERVER, TOKEN, read_secret, read_server
from repomesh.kernel.errors import Conflict
from repomesh.kernel.private_files import open_private, write_private

__all__ = [
    "DATABASE",
    "LOCK",
    "OWNER",
    "SERVER",
    "TOKEN",
    "FolderInUse",
    "forget_server",
    "hold",
    "holder",
    "owner_token_id",
    "prepare",
    "read_secret",
    "read_server",
    "write_owner_token",
    "write_secret",
    "write_server",
]


OWNER = "owner.json"
"""In the record: the id of the owner's token in the token file."""
PORT = "port.json"
"""In the record: the port of the server that ran last."""
_LOOK_EVERY_S = 0.05  # between attempts to lock the folder


class FolderInUse(Conflict):
    """Another process serves this data folder."""

    code = "data_folder_in_use"
    hint = "Use the running server, or stop it first with 'repomesh down'."


def prepare(folder: Path) -> None:
    """Make the folder with its record, readable by its owner only, and have git ignore it.

    Raises UntrustedFolder for one that this user did not make here.
    """
    if trust.require(folder) is None:
        trust.make(folder)
    try:
        ignore = open_private(folder / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    with os.fdopen(ignore, "wb") as file:
        file.write(b"*\n")


def write_secret(path: Path, secret: str) -> None:
    """Write a secret to a new file that only its owner may read; an existing file is replaced whole."""
    write_private(path, f"{secret}\n".encode())


@contextmanager
def hold(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the folder's lock; raises FolderInUse with the holder's pid, and its URL if it is a server.

    It waits up to `patience_s` for a holder that is no server, or none yet.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with pidfile.hold(folder / LOCK) as claim:
            if claim.by_us:
                yield
                return
        note = read_server(folder)
        url = note["url"] if note and note["pid"] == claim.pid else None
        if url is not None or time.monotonic() >= deadline:
            address = f" and answers at {url}" if url else ""
            raise FolderInUse(f"process {claim.pid or '?'} holds {folder}{address}", pid=claim.pid, url=url)
        time.sleep(_LOOK_EVERY_S)


def holder(folder: Path) -> int | None:
    """The process that holds the folder's lock at this moment; None when nobody does."""
    return pidfile.holder(folder / LOCK)


def write_server(folder: Path, pid: int, url: str, version: str) -> None:
    """Record the address of the server of this folder, to which its token may be sent."""
    note = {"pid": pid, "url": url, "version": version}
    write_private(_record(folder) / SERVER, json.dumps(note).encode())
    write_private(_record(folder) / PORT, json.dumps({"port": urlsplit(url).port}).encode())


def last_port(folder: Path) -> int | None:
    """The port of the folder's server when it ran last, which clients may be configured for."""
    record = trust.record_of(folder)
    note = trust.read_note(record / PORT) if record is not None else None
    port = (note or {}).get("port")
    return port if isinstance(port, int) else None


def forget_server(folder: Path) -> None:
    """Remove the note of a server that has stopped."""
    record = trust.record_of(folder)
    if record is not None:
        (record / SERVER).unlink(missing_ok=True)


def write_owner_token(folder: Path, token_id: str, secret: str) -> None:
    """Put a new owner's token into the token file, and remember which one it is."""
    write_private(_record(folder) / OWNER, json.dumps({"token_id": token_id}).encode())
    write_secret(folder / TOKEN, secret)


def owner_token_id(folder: Path) -> str | None:
    """The id of the owner's token that was put into the token file last; None when that is not known."""
    record = trust.record_of(folder)
    note = trust.read_note(record / OWNER) if record is not None else None
    token_id = (note or {}).get("token_id")
    return token_id if isinstance(token_id, str) else None


def _record(folder: Path) -> Path:
    record = trust.record_of(folder)
    if record is None:  # it was there when the folder was prepared
        raise trust.UntrustedFolder(f"{folder} has lost its record", hint=trust.adoption_hint(folder))
    return record
