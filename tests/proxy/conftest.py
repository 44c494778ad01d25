"""A mesh that answers at a URL."""

from __future__ import annotations

from live import live

__all__ = ["live"]
