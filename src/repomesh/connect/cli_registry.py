"""The agent CLIs that connect knows."""

from __future__ import annotations

import shutil

from repomesh.connect.claude import CLAUDE
from repomesh.connect.cli import Cli
from repomesh.connect.codex import CODEX
from repomesh.connect.copilot import COPILOT
from repomesh.connect.errors import NoCliInstalled, UnknownCli
from repomesh.connect.gemini import GEMINI
from repomesh.connect.opencode import OPENCODE
from repomesh.connect.qwen import QWEN

CLIS: dict[str, Cli] = {cli.name: cli for cli in (CLAUDE, CODEX, GEMINI, COPILOT, QWEN, OPENCODE)}


def find_cli(name: str) -> Cli:
    """The CLI of that name; raises UnknownCli."""
    if name not in CLIS:
        raise UnknownCli(f"there is no agent CLI '{name}' that connect knows")
    return CLIS[name]


def installed_clis() -> list[Cli]:
    """The CLIs on the search path; raises NoCliInstalled when there are none."""
    clis = [cli for cli in CLIS.values() if shutil.which(cli.name)]
    if not clis:
        raise NoCliInstalled("no agent CLI was found on the search path")
    return clis
