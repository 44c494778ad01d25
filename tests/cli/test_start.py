"""What a command loads: the time that it takes to start is mostly that of loading modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import Shell, environment
from repomesh.cli import first_level

_REPORT = (
    "import atexit, sys; atexit.register(lambda: "
    "print('loaded:', *(name for name, module in sys.modules.items() if module), file=sys.stderr)); "
)
_RUN = "sys.argv = ['repomesh', *sys.argv[1:]]; from repomesh.cli.main import main; main()"

HEAVY = frozenset(
    {
        "alembic",
        "httpcore",
        "httpx",
        "jsonschema",
        "mcp",
        "opentelemetry",
        "psutil",
        "pydantic",
        "rich",
        "sqlalchemy",
        "starlette",
        "structlog",
        "uvicorn",
    }
)
"""Libraries that take 15 ms or more to load, and that no command needs to ask a server on this machine."""


def loaded(shell: Shell, *words: str) -> set[str]:
    """The packages, and the modules of repomesh, that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT + _RUN, *words],
        cwd=shell.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("loaded: ")]
    names = line.split()[1:]
    return {name if name.startswith("repomesh.") else name.partition(".")[0] for name in names}


def test_the_list_of_commands_loads_no_library(running: Shell) -> None:
    modules = loaded(running, "--help")
    assert not modules & {*HEAVY, "typer", "asyncio", "dataclasses", "inspect"}
    assert {name for name in modules if name.startswith("repomesh.")} <= {
        "repomesh.cli",
        "repomesh.cli.first_level",
        "repomesh.cli.main",
    }


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("task", "list"),
        ("task", "list", "--status", "open", "--limit", "5", "--ready"),
        ("task", "create", "Write it", "--priority", "2", "--tags", "a,b"),
        ("task", "--help"),
        ("inbox",),
        ("events", "tail", "-n", "3"),
        ("meeting", "list", "--json"),
    ],
)
def test_a_command_that_asks_a_server_here_loads_no_large_library(
    running: Shell, words: tuple[str, ...]
) -> None:
    assert not loaded(running, *words) & HEAVY


def test_the_list_of_commands_is_that_of_typer(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = [20, *range(51, 82), 200]
    code = (
        "import os, sys; from repomesh.cli.root import run\n"
        "for width in sys.argv[1:]: os.environ['COLUMNS'] = width; run(['--help']); print('=====')"
    )
    words = [sys.executable, "-c", code, *map(str, widths)]
    variables = environment() | {"TYPER_USE_RICH": "0"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=variables)
    pages = done.stdout.split("=====\n")[:-1]
    assert len(pages) == len(widths)
    for width, page in zip(widths, pages, strict=True):
        monkeypatch.setenv("COLUMNS", str(width))
        assert first_level.help_text(first_level.terminal_columns()) + "\n" == page, width


@pytest.mark.parametrize("words", ["up --detach --port 0", "backup kept.db", "doctor", "connect claude -y"])
def test_a_folder_whose_name_is_no_utf8_is_refused(tmp_path: Path, words: str) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    done = Shell(Path(os.fsdecode(folder)))(*words.split())
    assert (done.code, "no UTF-8" in done.err, "fault of repomesh" in done.err) == (2, True, False)
