"""GitHub Copilot CLI: the user's settings, since it runs no hooks of a repository's headless."""

from __future__ import annotations

from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget, server_entry, stdio_entry
from repomesh.connect.entries import Scope, SettingsEntry, SettingsFile, hook_command
from repomesh.surfaces.hooks.dialects import DIALECTS


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`~/.copilot/mcp-config.json`, and a file of our own in its folder of hooks."""
    home = place.under("COPILOT_HOME", ".copilot")
    entries = [SettingsEntry(("version",), 1)]
    for event in DIALECTS["copilot"].events:
        hook = {"type": "command", "bash": hook_command("copilot", event), "timeoutSec": 5}
        entries.append(SettingsEntry(("hooks", event), hook, item=True))
    hooks = SettingsFile(home / "hooks" / "repomesh.json", "json", "user", tuple(entries), whole=True)
    entry, path = {"type": "local"} | stdio_entry("copilot"), home / "mcp-config.json"
    if place.http is not None:
        headers = {"Authorization": f"Bearer ${{{TOKEN_VARIABLE}}}"}
        entry = {"type": "http", "url": place.http.endpoint, "headers": headers}
        path = place.root / ".github" / "mcp.json"
    scope: Scope = "user" if place.http is None else "project"
    entry["tools"] = ["*"]
    return [SettingsFile(path, "json", scope, (server_entry(["mcpServers"], entry),)), hooks]


COPILOT = Cli(
    name="copilot",
    title="GitHub Copilot CLI",
    settings=settings,
    servers_in="user: `~/.copilot/mcp-config.json`",
    hooks_in="user: `~/.copilot/hooks/repomesh.json`",
)
