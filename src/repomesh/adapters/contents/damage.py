"""The error for contents that can't be read."""

from __future__ import annotations

from repomesh.kernel.errors import DamagedRecord


def damaged_content(sha256: str, reason: str) -> DamagedRecord:
    """The error for a content that is gone or is not what it was."""
    return DamagedRecord(
        f"the content {sha256} can't be read: {reason}",
        hint="Add the same content once more, which mends it, or restore a backup that still has it: "
        "'repomesh restore FILE'; on PostgreSQL 'pg_restore'.",
    )
