"""Reactions of changes to events of agents and reviews."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.changes import rows
from repomesh.domains.changes.queue import placing
from repomesh.domains.changes.rules import NOT_ENDED
from repomesh.domains.changes.tables import changes
from repomesh.domains.messaging.reviews.models import REVIEW_APPROVED, ReviewChanged
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(REVIEW_APPROVED)
def place_reviewed_changes(tx: Transaction, event: EmittedEvent[ReviewChanged]) -> None:
    """Put the author's changes where they belong that wait for an approval: this may be the one."""
    for row in rows.in_states(tx, ("waiting",)):
        if row.waits_for == "approval" and row.author_id == event.data.review.author_id:
            placing.reassess(tx, row)
            rows.wake_lane(tx, row.target)


@on(AGENT_RENAMED)
def rename_in_changes(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into its changes that have not ended."""
    agent = event.data.agent
    is_open = changes.c.state.in_(NOT_ENDED)
    rename_copies(tx, changes, "author", agent.id, agent.name, is_open)
