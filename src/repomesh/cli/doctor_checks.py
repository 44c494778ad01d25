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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from repomesh.adapters.git.engine import require_engine
from repomesh.adapters.git.errors import EngineMissing
from repomesh.cli.listening_port import CannotListen, PortBusy, listen
from repomesh.client.discovery import Address
from repomesh.connect import guard
from repomesh.connect.errors import NoRepository
from repomesh.jobs.merge_queue.sandbox import sandbox_problem
from repomesh.kernel import data_folder, trust
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.git import RepositoryUnreadable
from repomesh.kernel.settings import Settings
from repomesh.store import folder

PYTHON = (3, 11)
_SPACE_BYTES = 500 * 1024 * 1024  # a busy day writes less than this
_SKEW_S = 30.0  # leases use the server's clock; beyond this their times mislead a person
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
    """The result of one check. If it is not `fine` it has a `fix`, and fails the command if `required`."""

    name: str
    fine: bool
    detail: str
    fix: str = ""
    required: bool = True


def check_machine() -> Iterator[DoctorCheck]:
    """Check Python and git, and whether they can serve a merge queue."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield DoctorCheck("Python", sys.version_info >= PYTHON, version, "Install Python 3.11 or newer.")
    git = shutil.which("git")
    if git is None:
        yield DoctorCheck("git", False, "not found", "Install git: linked worktrees are found with it.")
        return
    result = subprocess.run([git, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - as found
    printed = (result.stdout or result.stderr).strip()
    yield DoctorCheck("git", result.returncode == 0, printed, f"Install git anew: '{git} --version' fails.")
    try:
        require_engine()
        yield DoctorCheck("merge queue", True, "pygit2 and git can merge without a work tree")
    except EngineMissing as error:
        yield DoctorCheck("merge queue", False, error.message, error.hint, required=False)
        return
    yield _structured_merge()
    yield _sandbox()


def _sandbox() -> DoctorCheck:
    """Check whether the queue's checks can run in a sandbox."""
    problem = sandbox_problem()
    if problem is None:
        return DoctorCheck("sandbox of checks", True, "bubblewrap works")
    detail = f"{problem}: checks run without a sandbox, and can read what you can, tokens included"
    fix = "Install bubblewrap, and allow user namespaces; or set queue.sandbox to 'required' to stop instead."
    return DoctorCheck("sandbox of checks", False, detail, fix, required=False)


def _structured_merge() -> DoctorCheck:
    """Check whether conflicts in other languages than Python can be merged by their structure."""
    if find_spec("tree_sitter") is not None:
        return DoctorCheck("structured merge", True, "tree-sitter reads TypeScript, Go, Rust and others")
    missing, fix = "tree-sitter is not installed: of code only Python is merged", "Install 'repomesh[merge]'."
    return DoctorCheck("structured merge", False, missing, fix, required=False)


def check_trust(settings: Settings) -> DoctorCheck | None:
    """Return a failed check if the data folder is refused; None if it is trusted or does not exist yet."""
    try:
        trust.require(settings.data)
    except (trust.UntrustedFolder, trust.StateFolderUnusable) as error:
        return refused_folder(error)
    return None


def refused_folder(error: RepomeshError) -> DoctorCheck:
    """Return the failed check of a data folder that is refused."""
    return DoctorCheck("data folder", False, error.message, error.hint)


def check_data_folder(settings: Settings) -> Iterator[DoctorCheck]:
    """Check the data folder: permissions, token, disk space and file system."""
    path = settings.data
    if not path.exists():
        parent = next(folder for folder in path.parents if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK) or os.statvfs(parent).f_flag & os.ST_RDONLY:
            fix = "Put the data folder where you may write: repomesh up --data DIR"
            yield DoctorCheck("data folder", False, f"{path} can't be made: {parent} may not be written", fix)
            return
        yield DoctorCheck("data folder", False, f"{path} does not exist yet", "repomesh up", required=False)
        return
    yield _check_mode("data folder", path, 0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        yield DoctorCheck("writing", False, f"{path} may not be written", f"chmod u+wx {path}")
    token = path / data_folder.TOKEN
    if token.exists():
        yield _check_mode("token", token, 0o600)
    else:
        yield DoctorCheck("token", False, "no server has started here yet", "repomesh up", required=False)
    free_bytes = shutil.disk_usage(path).free
    space = f"{free_bytes // 1_000_000:,} MB are free"
    yield DoctorCheck("disk space", free_bytes >= _SPACE_BYTES, space, f"Make room on the disk of {path}.")
    file_system = _file_system(path)
    if file_system in _REMOTE and settings.database_url is None:
        fix = "Put the data folder on a local disk: repomesh up --data DIR"
        yield DoctorCheck(
            "file system", False, f"{file_system} is shared over a network; locks on it don't hold", fix
        )
    elif file_system:
        yield DoctorCheck("file system", True, file_system)


def check_guard(start: Path) -> Iterator[DoctorCheck]:
    """Check that the guard's git hooks are in every work tree; no result where the guard is not installed."""
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


def check_database(settings: Settings) -> Iterator[DoctorCheck]:
    """Run the store's health checks of the database."""
    from repomesh.store.health_checks import examine

    for finding in examine(settings):
        yield DoctorCheck(finding.name, finding.fine, finding.detail, finding.fix)


def check_process(settings: Settings) -> Iterator[DoctorCheck]:
    """Check whether a server holds the folder and, if none does, whether its port is free."""
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
        yield _check_port(settings)


def check_server(address: Address) -> Iterator[DoctorCheck]:
    """Check a running server by its answers: readiness, clock, token and MCP."""
    headers = {"Authorization": f"Bearer {address.token}"} if address.token else {}
    try:
        with httpx.Client(base_url=address.url, headers=headers, timeout=10, trust_env=False) as client:
            started_at = time.time()
            ready = client.get("/readyz")
            took_ms = (time.time() - started_at) * 1000
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
            yield _check_clock(ready, started_at)
            yield _check_token(client.get("/v1/workspace"))
            mcp_answer = client.post("/mcp", json=_DISCOVER, headers=_DISCOVER_HEADERS)
            yield DoctorCheck(
                "MCP", mcp_answer.status_code == 200, _describe_mcp(mcp_answer), "Look into the server's log."
            )
    except httpx.TransportError as error:
        reason = f"{address.url} does not answer: {error or type(error).__name__}"
        yield DoctorCheck("readiness", False, reason, "repomesh down; repomesh up --detach")


def _check_mode(name: str, path: Path, mode: int) -> DoctorCheck:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return DoctorCheck(name, False, f"{path} was removed meanwhile", "repomesh doctor")
    detail = f"{path}, {stat.st_mode & 0o777:04o}"
    if stat.st_uid != os.getuid():
        return DoctorCheck(
            name, False, f"{path} belongs to somebody else", f"sudo chown {os.getuid()} {path}"
        )
    return DoctorCheck(name, stat.st_mode & 0o777 & ~mode == 0, detail, f"chmod {mode:o} {path}")


def _file_system(path: Path) -> str | None:
    """Return the type of the file system; None where the system does not show it."""
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except (psutil.Error, OSError):  # a container may hide them
        return None
    inside = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    return max(inside, key=lambda mount: len(mount.mountpoint)).fstype if inside else None


def _check_port(settings: Settings) -> DoctorCheck:
    try:
        listen(settings.host, settings.port).close()
    except (PortBusy, CannotListen) as error:
        return DoctorCheck("port", False, error.message, error.hint.rpartition(": ")[2], required=False)
    return DoctorCheck("port", True, f"{settings.port} of {settings.host} is free")


def _json_object(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; empty for anything else."""
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _check_token(answer: httpx.Response) -> DoctorCheck:
    name = _json_object(answer).get("name")
    if answer.status_code == 200 and name is not None:
        return DoctorCheck("access", True, f"the token opens the workspace '{name}'")
    fix = "repomesh down; repomesh up --detach (a new owner's token is written at start)"
    return DoctorCheck("access", False, f"the server refuses the token ({answer.status_code})", fix)


def _check_clock(answer: httpx.Response, local_time: float) -> DoctorCheck:
    try:
        server_time = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return DoctorCheck(
            "clock", False, "the server says no time", "Reach it without a proxy.", required=False
        )
    skew = abs(server_time - local_time)
    detail = "agrees with the server's" if skew <= _SKEW_S else f"differs from the server's by {skew:.0f} s"
    return DoctorCheck(
        "clock", skew <= _SKEW_S, detail, "Let both machines keep time with NTP.", required=False
    )


def _describe_mcp(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return f"the endpoint answered {answer.status_code}: {answer.text[:200]}"
    result = _json_object(answer).get("result")
    revisions = result.get("supportedVersions", ()) if isinstance(result, dict) else ()
    return f"it answers, with revisions {', '.join(revisions)}" if revisions else "it answers"
