"""The shell examples of the documents run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import Shell, running, shell
from repomesh.kernel import data_folder

__all__ = ["running", "shell"]

ROOT = Path(__file__).parents[2]
# What sets up this project itself (its targets are tested elsewhere) and programs that are not ours.
ELSEWHERE = {"make", "claude", "codex", "pip", "uv"}


def scripts() -> list[tuple[str, str]]:
    """(place, script) of every shell example with something of ours in it."""
    found = []
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for number, block in enumerate(re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)):
            commands = block.replace("\\\n", " ").splitlines()
            ours = [line for line in commands if line.strip() and line.split()[0] not in ELSEWHERE]
            if ours:
                found.append((f"{page.name}-{number}", "\n".join(ours)))
    return found


SCRIPTS = scripts()


def environment(at: Shell) -> dict[str, str]:
    """What a reader has set by then: the commands on the path, and where the server is."""
    note = data_folder.read_server(at.data)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}
    variables |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "REPOMESH_PORT": "0"}
    if note is not None:
        token = (at.data / "token").read_text().strip()
        variables |= {"REPOMESH_URL": note["url"], "REPOMESH_TOKEN": token}
    return variables


@pytest.mark.parametrize("script", [script for _, script in SCRIPTS], ids=[place for place, _ in SCRIPTS])
def test_the_example_runs(script: str, shell: Shell, request: pytest.FixtureRequest) -> None:
    at = shell if "repomesh up" in script else request.getfixturevalue("running")
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command, cwd=at.folder, env=environment(at), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    if "curl" in script:
        assert '"token":"rpm_' in done.stdout


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 2
