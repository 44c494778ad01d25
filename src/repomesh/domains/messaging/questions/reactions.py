"""Reactions of questions to events of agents."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.messaging.questions.tables import OPEN, questions
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(AGENT_RENAMED)
def rename_in_questions(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into open questions that it asked, was asked, or gets at the deadline."""
    agent = event.data.agent
    for role in ("asker", "asked", "escalate_to"):
        rename_copies(tx, questions, role, agent.id, agent.name, OPEN)
