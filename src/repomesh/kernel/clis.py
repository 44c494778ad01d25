"""The agent CLIs that repomesh knows by name."""

from __future__ import annotations

PROGRAMS: dict[str, str] = {
    "claude": "claude-code",
    "codex": "codex",
    "gemini": "gemini-cli",
    "copilot": "copilot-cli",
    "qwen": "qwen-code",
    "opencode": "opencode",
}
"""Each CLI's short name with the program that its agents are registered as."""

REPORT_SESSION_END = frozenset({"claude", "codex", "copilot", "gemini"})
"""The CLIs whose hooks report a session's end, also without a terminal; Qwen Code's do not (measured)."""


def cli_of(program: str) -> str | None:
    """The CLI that a client's program name means, such as 'codex' for 'codex-mcp-client'; None if unknown."""
    lower = program.lower()
    return next((cli for cli in PROGRAMS if cli in lower), None)
