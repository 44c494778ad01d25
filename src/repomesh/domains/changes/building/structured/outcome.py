"""What a structured merge raises when it can't be certain."""

from __future__ import annotations


class NotMergeable(Exception):
    """Why a file can't be merged by its structure: a true conflict, or a form that is not understood."""
