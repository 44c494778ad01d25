"""The prompt and the server that these tests use."""

from __future__ import annotations

from cli.running import running, shell

__all__ = ["running", "shell"]
