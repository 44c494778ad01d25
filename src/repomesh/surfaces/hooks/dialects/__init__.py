"""Each CLI's dialect: what its hooks say and understand. Pure, and importing nothing but the kernel."""

from __future__ import annotations

from repomesh.surfaces.hooks.dialects.base import HookDialect, HookEvent, HookInput, HookPhase
from repomesh.surfaces.hooks.dialects.claude import CLAUDE
from repomesh.surfaces.hooks.dialects.codex import CODEX
from repomesh.surfaces.hooks.dialects.copilot import COPILOT
from repomesh.surfaces.hooks.dialects.gemini import GEMINI
from repomesh.surfaces.hooks.dialects.opencode import OPENCODE
from repomesh.surfaces.hooks.dialects.qwen import QWEN

DIALECTS: dict[str, HookDialect] = {one.cli: one for one in (CLAUDE, CODEX, GEMINI, COPILOT, QWEN, OPENCODE)}
"""Every dialect by its CLI's name."""

__all__ = ["DIALECTS", "HookDialect", "HookEvent", "HookInput", "HookPhase"]
