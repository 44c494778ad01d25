"""Which agent CLIs are installed and connected here, as far as their files show."""

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

_VERSION_S = 15.0  # some CLIs start a whole Node program for it
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
    """The error in its settings, if any."""

    def working(self) -> dict[str, tuple[str, ...]]:
        """The routes of `Cli.routes` that are connected; all are empty without the marker or hooks."""
        routes = self.cli.routes()
        return {name: ways if self.connected and self.hooks else () for name, ways in routes.items()}


def statuses(clis: Sequence[Cli], place: ConnectTarget, data: Path) -> list[CliStatus]:
    """The status of each CLI; their `--version` commands run in parallel."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        versions = list(pool.map(version, clis))
    return [
        _status_of(cli, version_text, place, data) for cli, version_text in zip(clis, versions, strict=True)
    ]


def version(cli: Cli) -> str | None:
    """The CLI's version: '?' when it prints none, None when it is not installed."""
    program = shutil.which(cli.name)
    if program is None:
        return None
    try:
        result = subprocess.run(  # noqa: S603 - the program of that name on the user's search path
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
    match = _VERSION.search(result.stdout)
    return match[0] if match else "?"


def _status_of(cli: Cli, version_text: str | None, place: ConnectTarget, data: Path) -> CliStatus:
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
    return CliStatus(cli, version_text, marker is not None, server, hooks, agent, fault)
