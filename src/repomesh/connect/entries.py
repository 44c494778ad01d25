"""What connect writes for a CLI: the words of the entries, and how they are known again."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from repomesh.connect import hook_main
from repomesh.kernel.own_program import own_program

SERVER = "repomesh"
"""What our MCP server is called in every CLI's settings."""
Scope = Literal["project", "user"]
Format = Literal["json", "toml", "lines"]

_HOOK = re.compile(r"(?:repomesh/connect/hook_main\.py['\"]?|\brepomesh-hook) ([a-z]+) [A-Za-z]+")


@dataclass(frozen=True, slots=True)
class SettingsEntry:
    """A value that a settings file is to hold at `path`: there, or as an item of the list there."""

    path: tuple[str, ...]
    value: Any
    item: bool = False


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file of a CLI's settings, and what connect wants in it.

    A `whole` one is nobody's but ours: it goes when none of our hooks is left in it.
    """

    path: Path
    format: Format
    scope: Scope
    wants: tuple[SettingsEntry, ...]
    whole: bool = False


def hook_command(cli: str, event: str) -> str:
    """The shell's words for a hook. Nothing that happens to Python or to us may stop the CLI.

    Python ends with 2 when its file is gone, which CLIs read as 'block this'; hence the `|| true`.
    """
    program = shlex.join([sys.executable, "-I", "-S", hook_main.__file__, cli, event])
    return f"{program} 2>/dev/null || true"


def proxy_command(cli: str) -> list[str]:
    """The words that start the stdio proxy, with whole paths: each CLI has a search path of its own."""
    script = Path(sys.executable).with_name("repomesh")
    program = [str(script)] if script.exists() else own_program()
    return [*program, "mcp", "--cli", cli]


def is_hook(command: object, cli: str) -> bool:
    """Whether a hook's command is ours, for this CLI."""
    found = _HOOK.search(command) if isinstance(command, str) else None
    return found is not None and found[1] == cli


def is_server(value: object, cli: str) -> bool:
    """Whether an MCP entry is one that connect wrote for this CLI, not one that a person did."""
    if not isinstance(value, dict):
        return False
    words = value.get("command"), value.get("args", [])
    flat = [word for part in words for word in (part if isinstance(part, list) else [part])]
    if ["mcp", "--cli", cli] == flat[-3:]:
        return True
    address = value.get("url") or value.get("httpUrl")
    if value.get("command") is None and address is None:
        return True  # it starts nothing: what a CLI added to ours is left
    secret = json.dumps([value.get(name) for name in ("headers", "headersHelper", "bearer_token_env_var")])
    ours = "REPOMESH_TOKEN" in secret or f"/connect/{cli}." in secret
    return isinstance(address, str) and address.endswith("/mcp") and ours


def is_ours(value: object, cli: str) -> bool:
    """Whether a group of hooks holds hooks of ours and nothing else."""
    if not isinstance(value, dict):
        return False
    inner = value.get("hooks")
    if isinstance(inner, list):
        return bool(inner) and all(is_ours(hook, cli) for hook in inner)
    return is_hook(value.get("command"), cli) or is_hook(value.get("bash"), cli)
