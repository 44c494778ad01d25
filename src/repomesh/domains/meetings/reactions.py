"""Reactions of meetings to changes of agents."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.meetings import rows
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(AGENT_RENAMED)
def rename_in_meetings(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Update the agent's name in the meetings that are not over."""
    rows.rename_participant(tx, event.data.agent.id, event.data.agent.name)
