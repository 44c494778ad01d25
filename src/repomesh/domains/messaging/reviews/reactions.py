"""Reactions of reviews to events of agents."""

from __future__ import annotations

from sqlalchemy import select

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.messaging.reviews.tables import review_reviewers, reviews
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(AGENT_RENAMED)
def rename_in_reviews(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into the unfinished reviews that it wrote or reviews."""
    agent, table = event.data.agent, reviews.c
    unfinished = table.workspace_id == tx.workspace_id, table.state.in_(("requested", "changes_requested"))
    rename_copies(tx, reviews, "author", agent.id, agent.name, *unfinished)
    in_unfinished = review_reviewers.c.review_id.in_(select(table.id).where(*unfinished))
    rename_copies(tx, review_reviewers, "agent", agent.id, agent.name, in_unfinished)
