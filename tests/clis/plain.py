"""Hooks and MCP entries as each CLI's own documents say, written without `connect`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from clis.running import Desk
from clis.wires import Json

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


class Moments(NamedTuple):
    """What a CLI calls the moments at which a hook can reach its model."""

    start: str
    prompt: str
    before: str
    after: str
    end: str


MOMENTS: Final = {
    cli: Moments("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop")
    for cli in ("claude", "codex", "qwen")
} | {
    "gemini": Moments("SessionStart", "BeforeAgent", "BeforeTool", "AfterTool", "AfterAgent"),
    "copilot": Moments("sessionStart", "userPromptSubmitted", "preToolUse", "postToolUse", "agentStop"),
}
TELLER: Final = """
import sys
from pathlib import Path
sys.stdin.read()
said = Path(__file__).with_name(sys.argv[1])
if said.exists():
    print(said.read_text())
    said.unlink()
"""


def telling(desk: Desk, folder: Path, answers: dict[str, Json]) -> None:
    """Have hooks answer each of these events once."""
    folder.mkdir(parents=True)
    (folder / "tell.py").write_text(TELLER)
    for event, answer in answers.items():
        (folder / event).write_text(json.dumps(answer))
    hooks(desk, f"{sys.executable} {folder / 'tell.py'}", answers)


def context(cli: str, event: str, text: str) -> Json:
    """The answer that gives the model something to read."""
    if cli == "copilot":
        return {"additionalContext": text}
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}


def go_on(cli: str, reason: str) -> Json:
    """The answer that holds the end of a turn."""
    return {"decision": "deny" if cli == "gemini" else "block", "reason": reason}


def deny(cli: str, event: str, reason: str) -> Json:
    """The answer that refuses a tool."""
    if cli == "gemini":
        return {"decision": "deny", "reason": reason}
    refusal = {"permissionDecision": "deny", "permissionDecisionReason": reason}
    return refusal if cli == "copilot" else {"hookSpecificOutput": {"hookEventName": event} | refusal}


def echo_server(desk: Desk) -> None:
    """Give the CLI the MCP server of `echo_mcp.py`, by the name `echo`."""
    server(desk, "echo", sys.executable, str(Path(__file__).with_name("echo_mcp.py")))


def server(desk: Desk, name: str, program: str, *words: str) -> None:
    """Give the CLI an MCP server over standard input and output."""
    entry: dict[str, Any] = {"command": program, "args": list(words)}
    if desk.cli == "codex":
        said = f"command = {json.dumps(program)}\nargs = {json.dumps(list(words))}\n"
        with (desk.home / ".codex/config.toml").open("a") as settings:
            settings.write(f"[mcp_servers.{name}]\n{said}")
    elif desk.cli == "claude":
        desk.merge(desk.folder / ".mcp.json", {"mcpServers": {name: entry}})
        desk.merge(desk.folder / ".claude/settings.json", {"enableAllProjectMcpServers": True})
    elif desk.cli == "copilot":
        local = {"type": "local", "tools": ["*"]}
        desk.merge(desk.home / ".copilot/mcp-config.json", {"mcpServers": {name: entry | local}})
    else:
        desk.merge(_HOOKS[desk.cli](desk), {"mcpServers": {name: entry}})
