"""What leases do when something happened to an agent."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AGENT_RETIRED, AgentChanged, AgentRenamed
from repomesh.domains.leases import reclaim
from repomesh.domains.leases.tables import OPEN, leases, lock_waiters
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(AGENT_RETIRED)
def end_leases_of_retired_agent(tx: Transaction, event: EmittedEvent[AgentChanged]) -> None:
    """End what a retired agent holds: nobody speaks for it any more."""
    reclaim.end_all_of(tx, event.data.agent.id)


@on(AGENT_RENAMED)
def rename_holder(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Have the locks that an agent holds and waits for bear its new name."""
    agent = event.data.agent
    rename_copies(tx, leases, "agent", agent.id, agent.name, OPEN)
    rename_copies(tx, lock_waiters, "agent", agent.id, agent.name)
