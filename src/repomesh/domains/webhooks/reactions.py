"""Reactions of webhooks to events of the agents in whose name they were made."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RETIRED, AgentChanged
from repomesh.domains.webhooks import rows
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(AGENT_RETIRED)
def disable_webhooks_of_retired_agent(tx: Transaction, event: EmittedEvent[AgentChanged]) -> None:
    """Disable the active webhooks of a retired agent, which may not see anything any more."""
    for row in rows.active_of(tx, event.data.agent.id):
        rows.disable(tx, row, "the agent as which it was made is retired")
