"""Deadlines of meetings that ran while the server was away, when nobody could speak or vote."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from repomesh.domains.meetings import flow
from repomesh.domains.meetings.conducting import conduct_unless_damaged
from repomesh.domains.meetings.tables import RUNNING, meetings
from repomesh.domains.workspaces.server_downtime import Absence
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_RUNNING = PreparedStatement(
    select(meetings.c.id).where(meetings.c.workspace_id == bindparam("ws"), RUNNING).order_by(meetings.c.id)
)


def extend_deadlines(tx: Transaction, absence: Absence) -> None:
    """Move every open deadline of the workspace's meetings by the length of the absence."""
    for meeting_id in tx.execute(_RUNNING, {"ws": tx.workspace_id}).scalars().all():
        conduct_unless_damaged(tx, meeting_id, flow.ResumeAfterAbsence(absence.length.total_seconds()))
