"""The prompt and the server that the command line's tests use."""

from __future__ import annotations

from cli.running import running, shell

__all__ = ["running", "shell"]
