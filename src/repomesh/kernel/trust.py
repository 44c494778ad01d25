"""Decides which data folders are trusted: those that this user made on this machine, by a record elsewhere.

A repository may bring a `.repomesh` of its own. So the folder holds a random id, and the user's state folder
(`~/.local/state/repomesh`) a record of that name: where the folder lies, which server its token is for, and
which CLIs are connected. `connect/hook_main.py` repeats the rules of `record_of`, since it can't import them.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from repomesh.kernel import git
from repomesh.kernel.errors import Forbidden, Unavailable
from repomesh.kernel.limits import FOLDER_ENTRIES_MAX, FOLDER_ID_CHARS
from repomesh.kernel.private_files import UnsafeFile, read_private, write_private

ID: Final = "id"
"""The file in the data folder that names its record."""
TOKEN: Final = "token"
"""The file in the data folder that holds the owner's token."""
RECORD: Final = "record.json"
_DRAFTS: Final = f".{ID}."


class UntrustedFolder(Forbidden):
    """The data folder was not made here by this user, or others may have written into it."""

    code = "untrusted_folder"
    hint = "If you made it, 'repomesh trust' adopts it; if not, remove it."


class StateFolderUnusable(Unavailable):
    """The folder in which repomesh records which data folders are yours can't be used."""

    code = "state_folder_unusable"
    hint = "Set XDG_STATE_HOME to a folder that is yours alone, and that stays."


class DataFolderUnusable(Unavailable):
    """The data folder can't be made or written."""

    code = "data_folder_unusable"
    hint = "Work in a folder that you may write to, or name one for the data with REPOMESH_DATA."


def require(data: Path) -> Path | None:
    """The folder of the record of a data folder; None when there is no data folder yet, or an empty one.

    Raises UntrustedFolder unless this user made the data folder on this machine, it lies where it was made,
    only its user may enter it, it holds no links, and git tracks nothing of it.
    """
    record = _check_folder(data)
    if record is None:
        return None
    try:
        require_untracked(data)
    except UntrustedFolder:
        _mark_suspect(record)
        raise
    return record


def record_of(data: Path) -> Path | None:
    """The folder of the record of a data folder that `require` accepts, or did; None for any other.

    It does not run git: for frequent checks of a folder that `require` accepted before.
    """
    try:
        return _check_folder(data)
    except (UntrustedFolder, StateFolderUnusable):
        return None


def _check_folder(data: Path) -> Path | None:
    """Do what `require` does, except for the check of files that git tracks."""
    descriptor = open_folder(data)
    if descriptor is None:
        return None
    try:
        require_own(descriptor, data)
        if is_empty(descriptor, data):
            return None
        require_private(descriptor, data)
        return _require_bound(descriptor, data)
    finally:
        os.close(descriptor)


def make(data: Path) -> None:
    """Make a data folder with its record; one that is there already must be trusted, or empty.

    Raises DataFolderUnusable for a folder that is tracked by git, is another user's, or can't be made.
    """
    require_untracked(data)
    with lock_records():
        if require(data) is not None:
            return
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderUnusable(f"{data} can't be made: {error.strerror}") from None
        descriptor = open_folder(data)
        assert descriptor is not None, "made above"
        try:
            require_own(descriptor, data)
            os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)
        bind(data)


def bind(data: Path) -> None:
    """Give a data folder a new id, and make its record. The caller holds `lock_records`."""
    name = os.urandom(FOLDER_ID_CHARS // 2).hex()
    record = records_folder() / name
    try:
        record.mkdir(mode=0o700)
        write_record(record, data)
    except OSError as error:
        raise _unusable(record, error) from None
    write_private(data / ID, f"{name}\n".encode())


def write_record(record: Path, data: Path, suspect: str | None = None) -> None:
    """Write where a data folder lies, and on which machine; `suspect` says why it is not used any more."""
    record_fields = {"path": os.path.realpath(data), "machine": machine(), "suspect": suspect}
    write_private(record / RECORD, json.dumps(record_fields).encode() + b"\n")


def read_record(name: str) -> dict[str, Any] | None:
    """What is recorded under an id; None when there is nothing."""
    return read_note(state_folder() / "folders" / name / RECORD)


def read_note(path: Path) -> dict[str, Any] | None:
    """The object in a file of the record; None when there is none, or it can't be read."""
    try:
        content = json.loads(read_private(path) or b"null")
    except (UnsafeFile, ValueError):
        return None
    return content if isinstance(content, dict) else None


def forget(data: Path) -> None:
    """Remove the record of a data folder that is about to be removed itself."""
    import shutil

    record = record_of(data)
    if record is not None:
        with suppress(FileNotFoundError):  # another process forgets it, too
            shutil.rmtree(record)


# -- the state folder ------------------------------------------------------------------------------


def state_folder() -> Path:
    """The folder for what repomesh remembers about a user; raises StateFolderUnusable without a home."""
    configured_folder = Path(os.environ.get("XDG_STATE_HOME", ""))
    if configured_folder.is_absolute():
        return configured_folder / "repomesh"
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        home = Path()
    if not home.is_absolute():
        raise StateFolderUnusable("this user has no home folder to remember data folders in")
    return home / ".local" / "state" / "repomesh"


def records_folder() -> Path:
    """The folder of all records, made if need be; raises StateFolderUnusable unless it is one's own."""
    folder = state_folder() / "folders"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder_stat = folder.lstat()
    except OSError as error:
        raise _unusable(folder, error) from None
    if (
        not stat.S_ISDIR(folder_stat.st_mode)
        or folder_stat.st_uid != os.geteuid()
        or folder_stat.st_mode & 0o022
    ):
        raise StateFolderUnusable(
            f"others may write into {folder}", hint=f"chmod 700 {shlex.quote(str(folder))}"
        )
    return folder


@contextmanager
def lock_records() -> Iterator[None]:
    """Lock the user's records inside the context; other processes that would make one wait."""
    import fcntl

    folder = records_folder()
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(folder, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def machine() -> str:
    """An id of this machine, by which it differs from others that share a home folder with it."""
    try:
        with Path("/etc/machine-id").open(encoding="ascii") as file:
            return file.read(64).strip() or os.uname().nodename
    except (OSError, UnicodeDecodeError):
        return os.uname().nodename


def _unusable(path: Path, error: OSError) -> StateFolderUnusable:
    return StateFolderUnusable(f"{path} can't be written: {error.strerror}")


# -- the rules -------------------------------------------------------------------------------------


def open_folder(data: Path) -> int | None:
    """A descriptor of the data folder itself; None when there is none. Raises UntrustedFolder for a link."""
    try:
        return os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError:
        owner = data.lstat().st_uid
        fault = f"{data} belongs to user {owner}, and you, user {os.geteuid()}, may not enter it"
        hint = f"Work as that user, or {_other_folder_hint(data)}"
        raise UntrustedFolder(fault, hint=hint) from None
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EMLINK):
            raise
        fault = f"{data} is a symbolic link" if data.is_symlink() else f"{data} is no folder"
        raise UntrustedFolder(
            fault, hint=f"Remove it, or name a folder: {_other_folder_hint(data)}"
        ) from None


def require_own(descriptor: int, data: Path) -> None:
    """Raise UntrustedFolder for another user's folder."""
    owner = os.fstat(descriptor).st_uid
    if owner != os.geteuid():
        fault = f"{data} belongs to user {owner}, and you are user {os.geteuid()}"
        raise UntrustedFolder(fault, hint=f"Work as that user, or {_other_folder_hint(data)}")


def is_empty(descriptor: int, data: Path) -> bool:
    """Whether the folder holds nothing but drafts of its id.

    Raises UntrustedFolder for links, devices, other users' files, and more than FOLDER_ENTRIES_MAX entries.
    """
    count = 0
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.name.startswith(_DRAFTS):
                continue
            count += 1
            if count > FOLDER_ENTRIES_MAX:
                raise UntrustedFolder(
                    f"{data} holds more than {FOLDER_ENTRIES_MAX} entries",
                    hint="Remove from it what repomesh did not make.",
                )
            try:
                entry_stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # a draft that has its name by now, or one that was removed
                continue
            if not (stat.S_ISREG(entry_stat.st_mode) or stat.S_ISDIR(entry_stat.st_mode)):
                raise unsafe_entry(data / entry.name)
            if entry_stat.st_uid != os.geteuid():
                raise UntrustedFolder(
                    f"{data / entry.name} belongs to another user",
                    hint=f"If it is yours: sudo chown -R {os.geteuid()} {shlex.quote(str(data))}",
                )
    return count == 0


def unsafe_entry(path: Path) -> UntrustedFolder:
    """The error for an entry that is neither a file nor a folder."""
    fault = "a symbolic link" if path.is_symlink() else "neither a file nor a folder"
    hint = f"repomesh makes no such thing. Find out where it came from, then: rm {shlex.quote(str(path))}"
    return UntrustedFolder(f"{path} is {fault}", hint=hint)


def require_private(descriptor: int, data: Path) -> None:
    """Raise UntrustedFolder when others may enter the folder, or read its id or token."""
    folder_stat = os.fstat(descriptor)
    if folder_stat.st_mode & 0o077:
        hint = f"chmod 700 {shlex.quote(str(data))}"
        raise UntrustedFolder(f"others may enter {data} ({folder_stat.st_mode & 0o777:04o})", hint=hint)
    for name in (ID, TOKEN):
        try:
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            continue
        if mode & 0o077:
            hint = f"chmod 600 {shlex.quote(str(data / name))}"
            raise UntrustedFolder(f"others may read {data / name} ({mode & 0o777:04o})", hint=hint)


def read_id(descriptor: int) -> str | None:
    """The id in a data folder; None when there is none, or it is no id."""
    try:
        text = (read_private(ID, dir_fd=descriptor) or b"").decode("ascii", "replace").strip()
    except UnsafeFile:
        return None
    return text if len(text) == FOLDER_ID_CHARS and set(text) <= set("0123456789abcdef") else None


def _require_bound(descriptor: int, data: Path) -> Path:
    """The folder of the record that binds the data folder to this place; raises UntrustedFolder."""
    name = read_id(descriptor)
    record_fields = read_record(name) if name else None
    if name is None or record_fields is None:
        fault = f"{data} has no record on this machine: it came from elsewhere, or an earlier version made it"
        raise UntrustedFolder(fault, hint=adoption_hint(data))
    if record_fields.get("suspect"):
        raise UntrustedFolder(
            f"{data} is not used any more: {record_fields['suspect']}", hint=adoption_hint(data)
        )
    if record_fields.get("machine") != machine():
        raise UntrustedFolder(f"{data} was made on another machine", hint=adoption_hint(data))
    if not _lies_at(descriptor, str(record_fields.get("path"))):
        fault = f"{data} was moved or copied: it was made at {record_fields.get('path')}"
        raise UntrustedFolder(fault, hint=adoption_hint(data))
    return state_folder() / "folders" / name


def _lies_at(descriptor: int, path: str) -> bool:
    """Whether the open folder is the one at `path`, under whatever name it was opened."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def require_untracked(data: Path) -> None:
    """Raise UntrustedFolder when git tracks anything in it, in whatever case its name is written."""
    data = data.absolute()
    parent = next(folder for folder in data.parents if folder.is_dir())
    name = data.relative_to(parent)
    tracked_files = git.answer(
        parent, "ls-files", "--cached", "--", f":(icase,literal){name}", ignore_environment=True
    )
    if tracked_files:
        entry = shlex.quote("/".join(tracked_files[0].split("/")[: len(name.parts)]))
        raise UntrustedFolder(
            f"git tracks files in {data}: whoever commits to the repository writes into it",
            hint=f"Take them out with 'git -C {shlex.quote(str(parent))} rm -r -f {entry}' and commit; "
            f"if the folder is still there then, remove it, too. 'repomesh up' makes a new one.",
        )


def _mark_suspect(record: Path) -> None:
    """Mark the folder as untrusted even once git no longer tracks it: a checkout may have replaced files."""
    record_fields = read_note(record / RECORD)
    if record_fields is not None and not record_fields.get("suspect"):
        write_record(
            record, Path(record_fields["path"]), "git tracked files in it, and may have replaced some"
        )


def adoption_hint(data: Path) -> str:
    """The hint for a folder that may be the user's own: how to adopt or remove it."""
    quoted_path = shlex.quote(str(data))
    return f"If it is yours: repomesh trust --data {quoted_path}. If it is not: rm -r {quoted_path}"


def _other_folder_hint(data: Path) -> str:
    return f"use another folder, with --data or REPOMESH_DATA, than {shlex.quote(str(data))}"
