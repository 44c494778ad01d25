"""The checks of `repomesh doctor`: the machine, the data folder, the database and the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from repomesh.cli.listening_port import CannotListen, PortBusy, listen
from repomesh.client.discovery import Address
from repomesh.connect import guard
from repomesh.connect.errors import NoRepository
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.git import RepositoryUnreadable
from repomesh.kernel.settings import Settings
from repomesh.store import folder

PYTHON = (3, 11)
_SPACE_BYTES = 500 * 1024 * 1024  # less than this fills up in a busy day
_SKEW_S = 30.0  # leases are the server's time; a person comparing clocks is misled beyond this
_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs")
_DISCOVER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "server/discover",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "repomesh doctor", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
_DISCOVER_HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "server/discover",
}


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One thing looked at. What is not fine has a `fix`; only what is `required` fails the whole."""

    name: str
    fine: bool
    detail: str
    fix: str = ""
    required: bool = True


def machine() -> Iterator[DoctorCheck]:
    """Python and git."""
    found = ".".join(map(str, sys.version_info[:3]))
    yield DoctorCheck("Python", sys.version_info >= PYTHON, found, "Install Python 3.11 or newer.")
    git = shutil.which("git")
    if git is None:
        yield DoctorCheck("git", False, "not found", "Install git: linked worktrees are found with it.")
        return
    done = subprocess.run([git, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - as found
    said = (done.stdout or done.stderr).strip()
    yield DoctorCheck("git", done.returncode == 0, said, f"Install git anew: '{git} --version' fails.")


def trusted(settings: Settings) -> DoctorCheck | None:
    """Return why a data folder is refused; None when it is used or does not exist yet."""
    try:
        trust.require(settings.data)
    except (trust.UntrustedFolder, trust.StateFolderUnusable) as error:
        return refused(error)
    return None


def refused(error: RepomeshError) -> DoctorCheck:
    """The refusal of a data folder."""
    return DoctorCheck("data folder", False, error.message, error.hint)


def data(settings: Settings) -> Iterator[DoctorCheck]:
    """The data folder: who may read it, and whether there is room."""
    where = settings.data
    if not where.exists():
        above = next(folder for folder in where.parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK) or os.statvfs(above).f_flag & os.ST_RDONLY:
            fix = "Put the data folder where you may write: repomesh up --data DIR"
            yield DoctorCheck("data folder", False, f"{where} can't be made: {above} may not be written", fix)
            return
        yield DoctorCheck("data folder", False, f"{where} does not exist yet", "repomesh up", required=False)
        return
    yield _private("data folder", where, 0o700)
    if not os.access(where, os.W_OK | os.X_OK):
        yield DoctorCheck("writing", False, f"{where} may not be written", f"chmod u+wx {where}")
    token = where / data_folder.TOKEN
    if token.exists():
        yield _private("token", token, 0o600)
    else:
        yield DoctorCheck("token", False, "no server has started here yet", "repomesh up", required=False)
    free = shutil.disk_usage(where).free
    space = f"{free // 1_000_000:,} MB are free"
    yield DoctorCheck("disk space", free >= _SPACE_BYTES, space, f"Make room on the disk of {where}.")
    system = _file_system(where)
    if system in _REMOTE and settings.database_url is None:
        fix = "Put the data folder on a local disk: repomesh up --data DIR"
        yield DoctorCheck(
            "file system", False, f"{system} is shared over a network; locks on it don't hold", fix
        )
    elif system:
        yield DoctorCheck("file system", True, system)


def guarded(start: Path) -> Iterator[DoctorCheck]:
    """Whether git's hooks check commits in every work tree, where the guard is meant to be."""
    try:
        missing = guard.missing_hooks(start)
    except (NoRepository, RepositoryUnreadable):
        return
    if missing == []:
        yield DoctorCheck("guard", True, "git's hooks are in place in every work tree")
    for tree, names in missing or []:
        yield DoctorCheck(
            "guard", False, f"{tree} has no {', '.join(names)} hook of it", "repomesh guard install"
        )


def database(settings: Settings) -> Iterator[DoctorCheck]:
    """Yield the results of the store's own health checks of the database."""
    from repomesh.store.health_checks import examine

    for finding in examine(settings):
        yield DoctorCheck(finding.name, finding.fine, finding.detail, finding.fix)


def process(settings: Settings) -> Iterator[DoctorCheck]:
    """Whether a server holds the folder, and if none does, whether one could start."""
    pid = folder.holder(settings.data)
    note = data_folder.read_server(settings.data)
    if pid is not None and note is not None and note["pid"] == pid:
        yield DoctorCheck(
            "server", True, f"process {pid} answers at {note['url']}, version {note['version']}"
        )
    elif pid is not None:
        fix = f"Wait a moment; if it stays, 'kill {pid}' ends it. Its log: {settings.data / data_folder.LOG}"
        yield DoctorCheck("server", False, f"process {pid} holds the folder but serves nothing", fix)
    else:
        stale = " (its last server was killed)" if note else ""
        yield DoctorCheck("server", False, f"none runs{stale}", "repomesh up --detach", required=False)
        yield _port(settings)


def answers(address: Address) -> Iterator[DoctorCheck]:
    """What a running server answers: readiness, the token, MCP, its clock."""
    headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
    try:
        with httpx.Client(base_url=address.url, headers=headers, timeout=10, trust_env=False) as client:
            begun = time.time()
            ready = client.get("/readyz")
            took_ms = (time.time() - begun) * 1000
            fix = "Look into its log; 'repomesh down' and 'repomesh up' start it anew."
            status = _json_object(ready).get("status")
            if status is None:
                fix = "Correct the address: what answers there is no repomesh server."
            elif status == "read_only":
                fix = "repomesh down; repomesh restore FILE (or: repomesh up --accept-damage)"
            detail = f"{ready.status_code}, {status or 'no server of ours'}, after {took_ms:.0f} ms"
            yield DoctorCheck("readiness", status == "ready", detail, fix)
            if status is None:
                return
            yield _clock(ready, begun)
            yield _token(client.get("/v1/workspace"))
            found = client.post("/mcp", json=_DISCOVER, headers=_DISCOVER_HEADERS)
            yield DoctorCheck(
                "MCP", found.status_code == 200, _mcp_says(found), "Look into the server's log."
            )
    except httpx.TransportError as error:
        reason = f"{address.url} does not answer: {error or type(error).__name__}"
        yield DoctorCheck("readiness", False, reason, "repomesh down; repomesh up --detach")


def _private(name: str, path: Path, mode: int) -> DoctorCheck:
    try:
        found = path.stat()
    except FileNotFoundError:
        return DoctorCheck(name, False, f"{path} was removed meanwhile", "repomesh doctor")
    detail = f"{path}, {found.st_mode & 0o777:04o}"
    if found.st_uid != os.getuid():
        return DoctorCheck(
            name, False, f"{path} belongs to somebody else", f"sudo chown {os.getuid()} {path}"
        )
    return DoctorCheck(name, found.st_mode & 0o777 & ~mode == 0, detail, f"chmod {mode:o} {path}")


def _file_system(where: Path) -> str | None:
    """The type of the file system, where the system tells it."""
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except (psutil.Error, OSError):  # a container may hide them
        return None
    inside = [mount for mount in mounts if where.is_relative_to(mount.mountpoint)]
    return max(inside, key=lambda mount: len(mount.mountpoint)).fstype if inside else None


def _port(settings: Settings) -> DoctorCheck:
    try:
        listen(settings.host, settings.port).close()
    except (PortBusy, CannotListen) as error:
        return DoctorCheck("port", False, error.message, error.hint.rpartition(": ")[2], required=False)
    return DoctorCheck("port", True, f"{settings.port} of {settings.host} is free")


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer; nothing for anything else."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _token(answer: httpx.Response) -> DoctorCheck:
    name = _json_object(answer).get("name")
    if answer.status_code == 200 and name is not None:
        return DoctorCheck("access", True, f"the token opens the workspace '{name}'")
    fix = "repomesh down; repomesh up --detach (a new owner's token is written at start)"
    return DoctorCheck("access", False, f"the server refuses the token ({answer.status_code})", fix)


def _clock(answer: httpx.Response, here: float) -> DoctorCheck:
    try:
        there = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return DoctorCheck(
            "clock", False, "the server says no time", "Reach it without a proxy.", required=False
        )
    skew = abs(there - here)
    detail = "agrees with the server's" if skew <= _SKEW_S else f"differs from the server's by {skew:.0f} s"
    return DoctorCheck(
        "clock", skew <= _SKEW_S, detail, "Let both machines keep time with NTP.", required=False
    )


def _mcp_says(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return f"the endpoint answered {answer.status_code}: {answer.text[:200]}"
    result = _json_object(answer).get("result")
    revisions = result.get("supportedVersions", ()) if isinstance(result, dict) else ()
    return f"it answers, with revisions {', '.join(revisions)}" if revisions else "it answers"
