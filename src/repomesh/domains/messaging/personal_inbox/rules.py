"""Pure decisions about inboxes."""

from __future__ import annotations

from datetime import datetime, timedelta

from repomesh.kernel.limits import PERMISSION_NOTED_S


def still_waits(asked_at: datetime, last_hook_at: datetime) -> bool:
    """Whether a CLI still waits for a permission: it calls no hook until its person has answered."""
    return last_hook_at <= asked_at + timedelta(seconds=PERMISSION_NOTED_S)
