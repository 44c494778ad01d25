"""What leases do when something happened to an agent."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RETIRED, AgentChanged
from repomesh.domains.leases import reclaim
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(AGENT_RETIRED)
def end_leases_of_retired_agent(tx: Transaction, event: EmittedEvent[AgentChanged]) -> None:
    """End what a retired agent holds: nobody speaks for it any more."""
    reclaim.end_all_of(tx, event.data.agent.id)
