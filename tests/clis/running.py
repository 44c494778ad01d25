"""Runs the real agent CLIs against a scripted model, in a scratch repository, with a home of their own.

A CLI is started in a process session of its own and killed as a group: its launcher leaves children alive.
What it did is judged by the work tree and by what its model was asked, never by its exit code.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from cli.running import eventually, repository

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIRED: Final = ("claude", "codex", "gemini", "copilot", "qwen")
CODEX_MODEL: Final = "gpt-5.5"
"""Codex gives its tool for patches to models that it knows."""
DEADLINE_S: Final = 120.0
"""How long a run may take: a few seconds when the machine is quiet."""
LEAVING_S: Final = 3.0
"""How long what a CLI started may take to end after it."""


def _installer() -> ModuleType:
    """`scripts/clis.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("clis_installer", ROOT / "scripts/clis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


installer = _installer()


@dataclass
class Running:
    """A CLI that was started; what it printed stands in `output`."""

    process: subprocess.Popen[bytes]
    output: Path

    def wait(self, seconds: float = DEADLINE_S) -> int:
        """Until it ended; answers its exit code. Raises subprocess.TimeoutExpired after killing it."""
        try:
            code = self.process.wait(seconds)
            eventually(self._alone, LEAVING_S)
        except subprocess.TimeoutExpired:
            print(self.said[-4000:])
            raise
        finally:
            self.kill()
        return code

    def _alone(self) -> bool:
        """Whether all that it started has ended, too."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End all of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(10)

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")


@dataclass(frozen=True)
class Desk:
    """Where a CLI works: a repository with one commit, and a home in which nothing else stands."""

    cli: str
    folder: Path
    home: Path

    @classmethod
    def make(cls, cli: str, folder: Path, home: Path) -> Desk:
        """A desk in `folder`, which becomes a repository unless it is one."""
        home.mkdir(parents=True, exist_ok=True)
        if not (folder / ".git").exists():
            repository(folder)
        desk = cls(cli, folder, home)
        desk._install()
        _PREPARE.get(cli, lambda _: None)(desk)
        return desk

    def environment(self, **variables: str) -> dict[str, str]:
        """What any program at this desk is started with: nothing of the caller's but the search path."""
        return {
            "PATH": f"{self.home / 'bin'}{os.pathsep}{installer.search_path()}",
            "HOME": str(self.home),
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "SHELL": "/bin/bash",
        } | variables

    def _install(self) -> None:
        """The CLI stands on the search path of this desk by its name."""
        program = self.home / "bin" / self.cli
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.join(installer.command(self.cli))} "$@"\n')
        program.chmod(0o755)

    def merge(self, path: Path, value: dict[str, Any]) -> None:
        """Set keys of a JSON file, made when it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        standing = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(standing | value, indent=2))

    def start(self, url: str, prompt: str, *words: str, allowed: bool = True, **variables: str) -> Running:
        """Start the CLI headless with its model at `url`; `allowed`: it may use every tool unasked."""
        command, needed = headless(self, url, prompt, allowed=allowed)
        output = self.home / f"output-{time.time_ns()}.txt"
        with output.open("wb") as out:
            process = subprocess.Popen(
                [*installer.command(self.cli), *command, *words],
                cwd=self.folder,
                env=self.environment(**needed | variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, output)

    @contextmanager
    def running(self, url: str, prompt: str, *words: str, **options: Any) -> Iterator[Running]:
        """The CLI, killed when the block ends; see `start`."""
        started = self.start(url, prompt, *words, **options)
        try:
            yield started
        finally:
            started.kill()


Start = tuple[list[str], dict[str, str]]


def _claude(desk: Desk, url: str, prompt: str) -> Start:
    words = ["-p", prompt, "--model", "scripted", "--output-format", "stream-json", "--verbose"]
    return words, claude_environment(url)


def claude_environment(url: str) -> dict[str, str]:
    """What Claude Code needs to speak with the model at `url`."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "x",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
    }


def _codex(desk: Desk, url: str, prompt: str) -> Start:
    words = ["exec", "--json", "--skip-git-repo-check", "-m", CODEX_MODEL, *codex_words(url), prompt]
    return words, {"OPENAI_API_KEY": "x"}


def codex_words(url: str) -> list[str]:
    """What Codex needs to speak with the model at `url`, and to run hooks that nobody has looked at."""
    provider = f'{{name="local",base_url="{url}/v1",wire_api="responses",env_key="OPENAI_API_KEY"}}'
    local = ["-c", "model_provider=local", "-c", f"model_providers.local={provider}"]
    return ["--dangerously-bypass-hook-trust", *local]


def _gemini(desk: Desk, url: str, prompt: str) -> Start:
    words = ["-p", prompt, "-m", "gemini-2.5-flash", "--skip-trust", "-o", "stream-json"]
    return words, {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "x"}


def _copilot(desk: Desk, url: str, prompt: str) -> Start:
    words = ["-p", prompt, "--no-ask-user", "--output-format", "json"]
    needed = {
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_MODEL": "scripted",
    }
    return words, needed


def _qwen(desk: Desk, url: str, prompt: str) -> Start:
    words = ["--auth-type", "openai", "-o", "stream-json", "-p", prompt]
    needed = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "x", "OPENAI_MODEL": "scripted"}
    return words, needed


def _opencode(desk: Desk, url: str, prompt: str) -> Start:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "local",
        "options": {"baseURL": f"{url}/v1", "apiKey": "x"},
        "models": {"scripted": {"name": "scripted"}},
    }
    settings = {"provider": {"local": provider}, "small_model": "local/scripted"}
    needed = {
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_CONFIG_CONTENT": json.dumps(settings),
    }
    words = ["run", "--format", "json", "-m", "local/scripted", prompt]
    return words, needed


_ALLOWED: Final = {
    "claude": ["--permission-mode", "bypassPermissions"],
    "codex": ["--dangerously-bypass-approvals-and-sandbox"],
    "gemini": ["--approval-mode", "yolo"],
    "copilot": ["--allow-all-tools"],
    "qwen": ["--approval-mode", "yolo"],
    "opencode": ["--auto"],
}
_HEADLESS: Final[dict[str, Callable[[Desk, str, str], Start]]] = {
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "copilot": _copilot,
    "qwen": _qwen,
    "opencode": _opencode,
}


def headless(desk: Desk, url: str, prompt: str, *, allowed: bool = True) -> Start:
    """The words and variables that start a CLI without a terminal, its model at `url`."""
    words, needed = _HEADLESS[desk.cli](desk, url, prompt)
    return [*words, *(_ALLOWED[desk.cli] if allowed else [])], needed


def _prepare_gemini(desk: Desk) -> None:
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    desk.merge(desk.home / ".gemini/settings.json", chosen)


def _prepare_claude(desk: Desk) -> None:
    """Answer what the first start asks: the terminal's theme, the key, the folder's trust."""
    trusted = {str(desk.folder): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}}
    answered = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": ["x"], "rejected": []},
        "bypassPermissionsModeAccepted": True,
        "projects": trusted,
    }
    desk.merge(desk.home / ".claude.json", answered)


def _prepare_codex(desk: Desk) -> None:
    """Answer what the first start asks: the folder's trust."""
    settings = desk.home / ".codex/config.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    if not settings.exists():
        settings.write_text(f'[projects."{desk.folder}"]\ntrust_level = "trusted"\n')


def _prepare_qwen(desk: Desk) -> None:
    """No second agent that writes down what it remembers, with requests of its own."""
    desk.merge(desk.home / ".qwen/settings.json", {"memory": {"enableManagedAutoMemory": False}})


_PREPARE: Final[dict[str, Callable[[Desk], None]]] = {
    "gemini": _prepare_gemini,
    "claude": _prepare_claude,
    "codex": _prepare_codex,
    "qwen": _prepare_qwen,
}
