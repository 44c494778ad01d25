"""OpenCode: it has no hooks that run a command, so it takes part over MCP alone."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect

OPENCODE = HookDialect(cli="opencode", events={})
