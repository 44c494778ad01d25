"""Meetings that ran while the server was away, so that nobody could speak or vote in them."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from repomesh.domains.meetings import flow
from repomesh.domains.meetings.conducting import conduct_readable
from repomesh.domains.meetings.tables import RUNNING, meetings
from repomesh.domains.workspaces.absence import Absence
from repomesh.store.prepared import Prepared
from repomesh.store.transaction import Transaction

_RUNNING = Prepared(
    select(meetings.c.id).where(meetings.c.workspace_id == bindparam("ws"), RUNNING).order_by(meetings.c.id)
)


def extend_deadlines(tx: Transaction, absence: Absence) -> None:
    """Move every open deadline by the absence: nobody's silence is counted while nobody could speak."""
    for meeting_id in tx.execute(_RUNNING, {"ws": tx.workspace_id}).scalars().all():
        conduct_readable(tx, meeting_id, flow.ResumeAfterAbsence(absence.length.total_seconds()))
