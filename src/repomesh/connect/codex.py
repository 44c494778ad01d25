"""Codex: the user's settings, since it reads hooks from nowhere else."""

from __future__ import annotations

from repomesh.connect.cli import TOKEN_VARIABLE, Cli, ConnectTarget, hook_groups, server_entry, stdio_entry
from repomesh.connect.entries import Scope, SettingsFile

_PASSED = ["REPOMESH_AGENT", "REPOMESH_DATA", "REPOMESH_URL", TOKEN_VARIABLE, "XDG_STATE_HOME"]
"""Variables that the proxy may need: Codex passes only listed ones to its servers."""


def settings(place: ConnectTarget) -> list[SettingsFile]:
    """`~/.codex/config.toml` and `hooks.json`; over HTTP the MCP entry is the project's, since its URL is."""
    home = place.under("CODEX_HOME", ".codex")
    hooks = SettingsFile(home / "hooks.json", "json", "user", hook_groups("codex"))
    entry, path = stdio_entry("codex") | {"env_vars": _PASSED}, home / "config.toml"
    if place.http is not None:
        entry = {"url": place.http.endpoint, "bearer_token_env_var": TOKEN_VARIABLE}
        path = place.root / ".codex" / "config.toml"
    scope: Scope = "user" if place.http is None else "project"
    return [SettingsFile(path, "toml", scope, (server_entry(["mcp_servers"], entry),)), hooks]


CODEX = Cli(
    name="codex",
    title="Codex",
    settings=settings,
    servers_in="user: `~/.codex/config.toml`",
    hooks_in="user: `~/.codex/hooks.json`",
    wake="`codex queue`",
    afterwards="Codex asks once whether it may trust the new hooks: review them there and say yes.",
)
