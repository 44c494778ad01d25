"""Claude Code: the project's local settings, which belong to the user and not to the team."""

from __future__ import annotations

import shlex

from repomesh.connect.cli import Cli, ConnectTarget, hook_groups, server_entry, stdio_entry
from repomesh.connect.entries import SERVER, SettingsEntry, SettingsFile


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`.mcp.json`, the narrowest scope for servers, and `settings.local.json` for the hooks.

    The entries name programs of this machine, so they don't go into `.claude/settings.json`, which teams
    commit. The server is listed as approved, or the CLI would ask about every `.mcp.json`.
    """
    entry = stdio_entry("claude")
    if place.http is not None:
        helper = shlex.join(["cat", str(place.http.headers)])
        entry = {"type": "http", "url": place.http.endpoint, "headersHelper": helper}
    approved = SettingsEntry(("enabledMcpjsonServers",), SERVER, item=True)
    hooks = hook_groups("claude")
    local = place.root / ".claude" / "settings.local.json"
    return [
        SettingsFile(place.root / ".mcp.json", "json", "project", (server_entry(["mcpServers"], entry),)),
        SettingsFile(local, "json", "project", (approved, *hooks)),
    ]


CLAUDE = Cli(
    name="claude",
    title="Claude Code",
    settings=settings,
    servers_in="project: `.mcp.json`",
    hooks_in="project: `.claude/settings.local.json`",
    wake="inbox socket, MCP task",
)
