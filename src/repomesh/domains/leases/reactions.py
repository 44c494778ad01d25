"""Reactions of leases to events of agents."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AGENT_RETIRED, AgentChanged, AgentRenamed
from repomesh.domains.leases import overdue_leases
from repomesh.domains.leases.tables import OPEN, leases, lock_waiters
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(AGENT_RETIRED)
def end_leases_of_retired_agent(tx: Transaction, event: EmittedEvent[AgentChanged]) -> None:
    """End the leases of a retired agent: nobody can use them any more."""
    overdue_leases.end_all_of(tx, event.data.agent.id)


@on(AGENT_RENAMED)
def rename_holder(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into the locks that it holds and waits for."""
    agent = event.data.agent
    rename_copies(tx, leases, "agent", agent.id, agent.name, OPEN)
    rename_copies(tx, lock_waiters, "agent", agent.id, agent.name)
