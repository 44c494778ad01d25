"""The entries that connect writes for a CLI, and how it recognises them."""

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
"""The name of our MCP server in every CLI's settings."""
Scope = Literal["project", "user"]
Format = Literal["json", "toml", "lines"]

_HOOK = re.compile(r"(?:repomesh/connect/hook_main\.py['\"]?|\brepomesh-hook) ([a-z]+) [A-Za-z]+")


@dataclass(frozen=True, slots=True)
class SettingsEntry:
    """A value that a settings file must hold at `path`, or, with `item`, in the list at `path`."""

    path: tuple[str, ...]
    value: Any
    item: bool = False


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file of a CLI, and the entries that connect wants in it.

    A `whole` file belongs to connect: it is removed when none of connect's hooks is left in it.
    """

    path: Path
    format: Format
    scope: Scope
    wants: tuple[SettingsEntry, ...]
    whole: bool = False


def hook_command(cli: str, event: str) -> str:
    """The shell command of a hook. No failure of Python or of the hook may stop the CLI.

    Python exits with 2 when its file is gone, which CLIs read as 'block this'; hence the `|| true`.
    """
    program = shlex.join([sys.executable, "-I", "-S", hook_main.__file__, cli, event])
    return f"{program} 2>/dev/null || true"


def proxy_command(cli: str) -> list[str]:
    """The command that starts the stdio proxy, with absolute paths: each CLI has its own search path."""
    script = Path(sys.executable).with_name("repomesh")
    program = [str(script)] if script.exists() else own_program()
    return [*program, "mcp", "--cli", cli]


def is_hook(command: object, cli: str) -> bool:
    """Whether a hook's command is ours, for this CLI."""
    match = _HOOK.search(command) if isinstance(command, str) else None
    return match is not None and match[1] == cli


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
        return True  # it starts nothing: only additions of the CLI are left of our entry
    secret = json.dumps([value.get(name) for name in ("headers", "headersHelper", "bearer_token_env_var")])
    has_our_secret = "REPOMESH_TOKEN" in secret or f"/connect/{cli}." in secret
    return isinstance(address, str) and address.endswith("/mcp") and has_our_secret


def is_own_group(value: object, cli: str) -> bool:
    """Whether a group of hooks holds hooks of ours and nothing else."""
    if not isinstance(value, dict):
        return False
    inner = value.get("hooks")
    if isinstance(inner, list):
        return bool(inner) and all(is_own_group(hook, cli) for hook in inner)
    return is_hook(value.get("command"), cli) or is_hook(value.get("bash"), cli)
