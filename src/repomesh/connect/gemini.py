"""Gemini CLI: the user's settings, since it runs no hooks of a project's."""

from __future__ import annotations

from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget, hook_groups, server_entry, stdio_entry
from repomesh.connect.entries import SettingsFile


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`~/.gemini/settings.json` for both; over HTTP the MCP entry is the project's, since its URL is."""
    path = place.under("GEMINI_CLI_HOME") / ".gemini" / "settings.json"
    hooks = hook_groups("gemini")
    if place.http is None:
        return [
            SettingsFile(path, "json", "user", (server_entry(["mcpServers"], stdio_entry("gemini")), *hooks))
        ]
    headers = {"Authorization": f"Bearer ${TOKEN_VARIABLE}"}
    entry = {"httpUrl": place.http.endpoint, "headers": headers}
    project_path = place.root / ".gemini" / "settings.json"
    return [
        SettingsFile(project_path, "json", "project", (server_entry(["mcpServers"], entry),)),
        SettingsFile(path, "json", "user", hooks),
    ]


GEMINI = Cli(
    name="gemini",
    title="Gemini CLI",
    settings=settings,
    servers_in="user: `~/.gemini/settings.json`",
    hooks_in="user: `~/.gemini/settings.json`",
    afterwards="Gemini takes servers and hooks in folders that it trusts: answer its question with yes.",
)
