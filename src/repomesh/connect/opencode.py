"""OpenCode: the project's own settings. It has plugins in place of hooks, and gets none of ours."""

from __future__ import annotations

from typing import Any

from repomesh.connect.cli import Cli, ConnectTarget, server_entry
from repomesh.connect.entries import SettingsFile, proxy_command

_NAMES = ("opencode.jsonc", "opencode.json")


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`opencode.json` of the project, or the one with comments where that is there."""
    path = next(
        (place.root / name for name in _NAMES if (place.root / name).exists()), place.root / _NAMES[1]
    )
    entry: dict[str, Any] = {"type": "local", "command": proxy_command("opencode"), "enabled": True}
    if place.http is not None:
        headers = {"Authorization": f"Bearer {{file:{place.http.token}}}"}
        entry = {"type": "remote", "url": place.http.endpoint, "headers": headers, "enabled": True}
    return [SettingsFile(path, "json", "project", (server_entry(["mcp"], entry),))]


OPENCODE = Cli(
    name="opencode",
    title="OpenCode",
    settings=settings,
    servers_in="project: `opencode.json`",
    hooks_in="",
)
