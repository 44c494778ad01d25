"""Pure decisions about sessions: which actions a status allows, and the marks of the full-text index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from repomesh.domains.sessions.errors import SessionNotActive
from repomesh.domains.sessions.models import SessionStatus

Action = Literal["change", "pause", "resume", "complete"]

# What each action may begin from, and the status it leads to. Deleting may begin from any.
ALLOWED: Mapping[Action, frozenset[SessionStatus]] = {
    "change": frozenset({"active"}),
    "pause": frozenset({"active"}),
    "resume": frozenset({"paused"}),
    "complete": frozenset({"active", "paused"}),
}
LEADS_TO: Mapping[Action, SessionStatus] = {"pause": "paused", "resume": "active", "complete": "completed"}

_ATTEMPTED = {"change": "changed", "pause": "paused", "resume": "resumed", "complete": "completed"}
_HINTS: Mapping[SessionStatus, str] = {
    "active": "It is active: go on.",
    "paused": "Resume it first.",
    "completed": "It stays as it is: read it, or create another session.",
    "deleting": "Wait until it is gone; then its id is free again.",
}


def possible(status: SessionStatus) -> list[str]:
    """The actions that a session of this status allows, besides reading and deleting it."""
    return [action for action, statuses in ALLOWED.items() if status in statuses]


def require_allowed(action: Action, session_id: str, status: SessionStatus, reason: str = "") -> None:
    """Raise SessionNotActive unless a session of `status` allows `action`."""
    if status in ALLOWED[action]:
        return
    because = f" ({reason})" if reason else ""
    raise SessionNotActive(
        f"session '{session_id}' is {status}{because} and can't be {_ATTEMPTED[action]}",
        hint=_HINTS[status],
        session_status=status,
        possible=possible(status),
    )


def mark(kind: str, value: str) -> str:
    """The word that stands for a property of a document (of this kind and value) in the full-text index.

    Ordinary texts do not contain it. Hits are checked against their rows, so a forged one has no effect.
    """
    return f"zq{kind}{hashlib.sha256(value.encode()).hexdigest()[:20]}"
