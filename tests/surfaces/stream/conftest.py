"""A mesh that answers at a URL, with a web server's sockets."""

from __future__ import annotations

from live import live

__all__ = ["live"]
