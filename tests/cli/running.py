"""Runs the command line as people do: in a process of its own (see `prompt`), in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import prompt
from prompt import Done
from repomesh.cli import detach
from repomesh.kernel import data_folder
from repomesh.store import folder


@dataclass(frozen=True)
class Shell:
    """Somebody at a prompt in `folder`."""

    folder: Path

    def __call__(self, *words: str, stdin: str = "", **variables: str) -> Done:
        return prompt.run(words, self.folder, environment() | variables, stdin)

    def ok(self, *words: str, **options: Any) -> Any:
        """The JSON that a command prints, which must succeed."""
        done = self(*words, "--json", **options)
        assert done.code == 0, done.err
        return done.json

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "repomesh.cli.main", *words],
            cwd=self.folder,
            env=environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def at(self, folder: Path) -> Shell:
        return Shell(folder)

    @property
    def data(self) -> Path:
        return self.folder / data_folder.DATA


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REPOMESH_")}


def git(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """What git answers."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def repository(folder: Path) -> Path:
    """A fresh repository with one commit; answers its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("A project.\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A prompt in a fresh repository with one commit; whatever server it leaves is stopped."""
    made = Shell(repository(tmp_path / "project"))
    yield made
    with suppress(Exception):
        detach.stop(made.data)


def serve(shell: Shell, migrated_file: Path, **variables: str) -> None:
    """Start a server for the shell's folder, on a copy of a migrated database."""
    folder.prepare(shell.data)
    shutil.copy(migrated_file, shell.data / folder.DATABASE)
    started = prompt.start(["up", "--port", "0"], shell.folder, environment() | variables)

    def answers() -> bool:
        note = data_folder.read_server(shell.data)
        return note is not None and detach.is_ready(note["url"])

    assert eventually(answers), started.wait().err


@pytest.fixture
def running(shell: Shell, migrated_file: Path) -> Shell:
    """The same with a server in the background."""
    serve(shell, migrated_file)
    return shell
