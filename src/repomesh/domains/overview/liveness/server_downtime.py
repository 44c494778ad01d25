"""Extends all leases and deadlines after the server was away, by what each domain does about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from repomesh.domains.leases.server_downtime import extend_expiries
from repomesh.domains.meetings.server_downtime import extend_deadlines as extend_meetings
from repomesh.domains.messaging.messages import server_downtime as messages
from repomesh.domains.messaging.questions.operations import extend_deadlines as extend_questions
from repomesh.domains.webhooks.server_downtime import discount_absence
from repomesh.domains.workspaces.server_downtime import Absence, begin_grace
from repomesh.store.transaction import Transaction

GRACES: Sequence[Callable[[Transaction, Absence], None]] = (
    extend_expiries,
    messages.extend_deadlines,
    extend_questions,
    extend_meetings,
    discount_absence,
)
"""What each domain does about an absence, besides using `silent_before` to find silent agents."""


def give_grace(tx: Transaction, left_at: datetime) -> Absence | None:
    """Extend what one workspace has, for a server that was last running at `left_at`.

    Returns the absence, or None if `begin_grace` finds that there was none.
    """
    absence = begin_grace(tx, left_at)
    if absence is not None:
        for grace in GRACES:
            grace(tx, absence)
    return absence
