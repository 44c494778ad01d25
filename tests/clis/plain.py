"""Hooks and MCP entries as each CLI's own documents say, written without `connect`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from clis.running import Desk

CLAUDE: Final = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "Notification",
    "Stop",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "SessionEnd",
)
EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "claude": CLAUDE,
    "qwen": CLAUDE,
    "codex": tuple(name for name in CLAUDE if name not in ("PostToolUseFailure", "Notification")),
    "gemini": (
        "SessionStart",
        "BeforeAgent",
        "BeforeTool",
        "AfterTool",
        "AfterAgent",
        "PreCompress",
        "Notification",
        "SessionEnd",
    ),
    "copilot": (
        "sessionStart",
        "userPromptSubmitted",
        "preToolUse",
        "postToolUse",
        "postToolUseFailure",
        "permissionRequest",
        "notification",
        "agentStop",
        "subagentStart",
        "subagentStop",
        "preCompact",
        "errorOccurred",
        "sessionEnd",
    ),
}
"""The events of each CLI that matter here, by its own names."""


def hooks(desk: Desk, command: str, events: Iterable[str] | None = None) -> None:
    """Have the CLI run `command EVENT` at each of these events, or all."""
    names = EVENTS[desk.cli] if events is None else tuple(events)
    if desk.cli == "copilot":
        entries = {
            name: [{"type": "command", "bash": f"{command} {name}", "timeoutSec": 10}] for name in names
        }
        desk.merge(desk.home / ".copilot/hooks/plain.json", {"version": 1, "hooks": entries})
        return
    nested = {
        name: [{"matcher": "*", "hooks": [{"type": "command", "command": f"{command} {name}"}]}]
        for name in names
    }
    desk.merge(_HOOKS[desk.cli](desk), {"hooks": nested} | _SWITCH.get(desk.cli, {}))


_HOOKS: Final[dict[str, Any]] = {
    "claude": lambda desk: desk.folder / ".claude/settings.json",
    "qwen": lambda desk: desk.folder / ".qwen/settings.json",
    "codex": lambda desk: desk.home / ".codex/hooks.json",
    "gemini": lambda desk: desk.home / ".gemini/settings.json",
}
_SWITCH: Final[dict[str, Any]] = {"gemini": {"hooksConfig": {"enabled": True}}}


def echo_server(desk: Desk) -> None:
    """Give the CLI the MCP server of `echo_mcp.py`, by the name `echo`."""
    program = str(Path(__file__).with_name("echo_mcp.py"))
    entry: dict[str, Any] = {"command": sys.executable, "args": [program]}
    if desk.cli == "codex":
        path = desk.home / ".codex/config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        words = f"command = {json.dumps(sys.executable)}\nargs = {json.dumps([program])}\n"
        path.write_text(f"[mcp_servers.echo]\n{words}")
    elif desk.cli == "claude":
        desk.merge(desk.folder / ".mcp.json", {"mcpServers": {"echo": entry}})
        desk.merge(desk.folder / ".claude/settings.json", {"enableAllProjectMcpServers": True})
    elif desk.cli == "copilot":
        local = {"type": "local", "tools": ["*"]}
        desk.merge(desk.home / ".copilot/mcp-config.json", {"mcpServers": {"echo": entry | local}})
    else:
        desk.merge(_HOOKS[desk.cli](desk), {"mcpServers": {"echo": entry}})
