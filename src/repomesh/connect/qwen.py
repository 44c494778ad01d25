"""Qwen Code: the project's own settings."""

from __future__ import annotations

from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget, hook_groups, server_entry, stdio_entry
from repomesh.connect.entries import SettingsFile


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`.qwen/settings.json` of the project, for both."""
    entry = stdio_entry("qwen")
    if place.http is not None:
        headers = {"Authorization": f"Bearer ${TOKEN_VARIABLE}"}
        entry = {"httpUrl": place.http.endpoint, "headers": headers}
    entries = (server_entry(["mcpServers"], entry), *hook_groups("qwen"))
    return [SettingsFile(place.root / ".qwen" / "settings.json", "json", "project", entries)]


QWEN = Cli(
    name="qwen",
    title="Qwen Code",
    settings=settings,
    servers_in="project: `.qwen/settings.json`",
    hooks_in="project: `.qwen/settings.json`",
    afterwards="Qwen Code asks once about the server: say yes, or run 'qwen mcp approve repomesh'.",
)
