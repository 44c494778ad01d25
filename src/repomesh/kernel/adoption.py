"""Makes a data folder trusted that has no record here: an earlier version's, a moved one, a copy."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from repomesh.kernel import pidfile, trust
from repomesh.kernel.data_folder import CONNECT, DATABASE, LOCK, SERVER
from repomesh.kernel.errors import Conflict, NotFound
from repomesh.kernel.private_files import open_private, size_bytes

Origin = Literal["trusted", "moved", "copied", "unknown"]
_DAEMON_LOCK: Final = "daemon.lock"
_WAKE: Final = "wake"


class FolderServed(Conflict):
    """A process still uses the data folder that is to be adopted."""

    code = "data_folder_served"
    hint = "End that process first, with 'kill' and its number; whatever it acknowledged stays."


@dataclass(frozen=True, slots=True)
class AdoptableFolder:
    """A data folder that may be adopted. `origin` says how it came here, `was_at` where it was made."""

    data: Path
    origin: Origin
    was_at: str | None
    database_bytes: int | None
    """None when there is no database in it."""

    @property
    def keeps_token(self) -> bool:
        """Whether its token stays: only when it is the same folder in another place."""
        return self.origin in ("trusted", "moved")


def inspect(data: Path) -> AdoptableFolder:
    """The folder, if it can be adopted.

    Raises NotFound, FolderServed, and UntrustedFolder for one that must not be: another user's, tracked by
    git, or with links or pipes anywhere inside.
    """
    descriptor = trust.open_folder(data)
    if descriptor is None:
        raise NotFound(f"there is no folder {data}", hint="'repomesh up' makes one.")
    try:
        trust.require_own(descriptor, data)
        trust.is_empty(descriptor, data)
        name = trust.read_id(descriptor)
    finally:
        os.close(descriptor)
    trust.require_untracked(data)
    _require_plain(data)
    for lock in (LOCK, _DAEMON_LOCK):
        pid = pidfile.holder(data / lock)
        if pid is not None and trust.record_of(data) is None:
            raise FolderServed(f"process {pid} uses {data}", pid=pid)
    record_fields = trust.read_record(name) if name is not None else None
    was_at = str(record_fields.get("path")) if record_fields is not None else None
    return AdoptableFolder(data, _origin(data, record_fields), was_at, size_bytes(data / DATABASE))


def adopt(candidate: AdoptableFolder) -> None:
    """Trust the folder from now on, and let only its user enter it.

    Unless it was only moved it gets a new id, and at the next start a new owner's token; the tokens of CLIs
    and the places of sessions that lie in it are removed.
    """
    if candidate.origin == "trusted":
        return
    data = candidate.data
    with trust.lock_records():
        _make_private(data)
        record = trust.records_folder() / _read_id(data) if candidate.keeps_token else None
        if record is not None:
            (record / SERVER).unlink(missing_ok=True)
            trust.write_record(record, data)
            return
        for name in (trust.ID, trust.TOKEN, SERVER):
            (data / name).unlink(missing_ok=True)
        for name in (CONNECT, _WAKE):
            _remove_folder(data / name)
        trust.bind(data)


def _origin(data: Path, record_fields: dict[str, object] | None) -> Origin:
    if trust.record_of(data) is not None:
        return "trusted"
    if (
        record_fields is None
        or record_fields.get("suspect")
        or record_fields.get("machine") != trust.machine()
    ):
        return "unknown"
    recorded_path = Path(str(record_fields.get("path")))
    try:
        return "moved" if recorded_path.samefile(data) else "copied"
    except (FileNotFoundError, NotADirectoryError):
        return "moved"


def _read_id(data: Path) -> str:
    descriptor = trust.open_folder(data)
    assert descriptor is not None, "looked at before"
    try:
        name = trust.read_id(descriptor)
    finally:
        os.close(descriptor)
    if name is None:
        raise trust.UntrustedFolder(f"the id of {data} was changed meanwhile")
    return name


def _require_plain(data: Path) -> None:
    """Raise UntrustedFolder for a link, a pipe or a device anywhere in the folder."""
    for folder, folder_names, file_names in os.walk(data):
        for name in (*folder_names, *file_names):
            try:
                mode = (Path(folder) / name).lstat().st_mode
            except FileNotFoundError:  # removed meanwhile
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise trust.unsafe_entry(Path(folder) / name)


def _remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, some of which others may remove meanwhile."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _make_private(data: Path) -> None:
    """Remove the permissions of other users on the folder and its files."""
    data.chmod(0o700)
    with os.scandir(data) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                continue  # nobody else comes to it
            try:
                descriptor = open_private(entry.path, os.O_RDONLY)
            except FileNotFoundError:  # removed meanwhile
                continue
            try:
                os.fchmod(descriptor, 0o600)
            finally:
                os.close(descriptor)
