"""The server is back: everybody has a full limit of grace, and every deadline what was left of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from repomesh.domains.leases.absence import extend_expiries
from repomesh.domains.meetings.absence import extend_deadlines as extend_meetings
from repomesh.domains.messaging.messages import absence as messages
from repomesh.domains.messaging.questions.operations import extend_deadlines as extend_questions
from repomesh.domains.webhooks.absence import discount_absence
from repomesh.domains.workspaces.absence import Absence, begin_grace
from repomesh.store.transaction import Transaction

GRACES: Sequence[Callable[[Transaction, Absence], None]] = (
    extend_expiries,
    messages.extend_deadlines,
    extend_questions,
    extend_meetings,
    discount_absence,
)
"""What each domain does about an absence, besides asking `silent_before` for who went silent."""


def give_grace(tx: Transaction, left_at: datetime) -> Absence | None:
    """Do so in one workspace, for a server that was last there at `left_at`; answers how long it was away."""
    absence = begin_grace(tx, left_at)
    if absence is not None:
        for grace in GRACES:
            grace(tx, absence)
    return absence
