"""What reviews do when something happened to an agent."""

from __future__ import annotations

from sqlalchemy import select, update

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.messaging.reviews.tables import review_reviewers, reviews
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(AGENT_RENAMED)
def rename_in_reviews(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Have reviews that are not over bear the new name of their author and reviewers."""
    agent, table = event.data.agent, reviews.c
    running = table.workspace_id == tx.workspace_id, table.state.in_(("requested", "changes_requested"))
    tx.execute(update(reviews).where(*running, table.author_id == agent.id).values(author_name=agent.name))
    mine = review_reviewers.c.workspace_id == tx.workspace_id, review_reviewers.c.agent_id == agent.id
    there = review_reviewers.c.review_id.in_(select(table.id).where(*running))
    tx.execute(update(review_reviewers).where(*mine, there).values(agent_name=agent.name))
