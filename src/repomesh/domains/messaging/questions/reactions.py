"""What questions do when something happened to an agent."""

from __future__ import annotations

from sqlalchemy import update

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.messaging.questions.tables import OPEN, questions
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(AGENT_RENAMED)
def rename_in_questions(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Have open questions bear the new name of who asked, is asked, or is asked next."""
    agent, table = event.data.agent, questions.c
    for role in ("asker", "asked", "escalate_to"):
        mine = table.workspace_id == tx.workspace_id, OPEN, table[f"{role}_id"] == agent.id
        tx.execute(update(questions).where(*mine).values({f"{role}_name": agent.name}))
