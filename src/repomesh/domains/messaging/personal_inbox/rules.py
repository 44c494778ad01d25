"""Pure decisions about inboxes."""

from __future__ import annotations

from datetime import datetime, timedelta

from repomesh.kernel.limits import PERMISSION_NOTED_S


def still_waits(asked_at: datetime, last_hook_at: datetime) -> bool:
    """Whether a CLI that asked for a permission still does: it does nothing else until it is told."""
    return last_hook_at <= asked_at + timedelta(seconds=PERMISSION_NOTED_S)
