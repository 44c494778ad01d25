"""What of an agent CLI is installed and connected here, as far as its files tell."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from repomesh.connect import editing, files, records
from repomesh.connect.cli import Cli, ConnectTarget, Http
from repomesh.connect.entries import SERVER
from repomesh.connect.errors import BrokenSettings

_VERSION_S = 15.0  # some start a whole Node program to say it
_VERSION = re.compile(r"\d+(?:\.\d+)+(?:[-+][\w.-]*\w)?")


@dataclass(frozen=True, slots=True)
class CliStatus:
    """One CLI: its version where it is installed, and which of our entries its settings hold."""

    cli: Cli
    version: str | None
    connected: bool
    server: bool
    hooks: bool
    agent: str | None
    fault: str = ""
    """What is wrong with its settings."""

    def working(self) -> dict[str, tuple[str, ...]]:
        """The routes whose entries are there; waking needs no hook that answers, only one that was called."""
        routes = self.cli.routes()
        return {name: ways if self.connected and self.hooks else () for name, ways in routes.items()}


def statuses(clis: Sequence[Cli], place: ConnectTarget, data: Path) -> list[CliStatus]:
    """Each of `clis`; their programs are asked for their versions side by side."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        versions = list(pool.map(version, clis))
    return [_found(cli, said, place, data) for cli, said in zip(clis, versions, strict=True)]


def version(cli: Cli) -> str | None:
    """What the CLI says its version is: '?' when it says none, None when it is not installed."""
    program = shutil.which(cli.name)
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the program of that name on the user's search path
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    said = _VERSION.search(done.stdout)
    return said[0] if said else "?"


def _found(cli: Cli, said: str | None, place: ConnectTarget, data: Path) -> CliStatus:
    marker = records.read_marker(data, cli.name)
    if marker is not None and marker.http:
        place = ConnectTarget(place.root, place.home, place.variables, Http("", data, data))
    server, hooks, fault = False, not cli.dialect.events, ""
    for file in cli.settings(place):
        try:
            text = files.read(file.path).text
            has_server, has_hooks = editing.entries_in(file, text or "", cli.name)
        except BrokenSettings as error:
            fault = f"{file.path}: {error.message}"
            continue
        server = server or (has_server and any(want.path[-1] == SERVER for want in file.wants))
        hooks = hooks or has_hooks
    agent = marker.agent if marker is not None else None
    return CliStatus(cli, said, marker is not None, server, hooks, agent, fault)
