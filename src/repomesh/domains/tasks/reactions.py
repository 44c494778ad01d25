"""Reactions of tasks to events of leases and agents."""

from __future__ import annotations

from repomesh.domains.agents.models import AGENT_RENAMED, AgentRenamed
from repomesh.domains.leases.models import LEASE_EXPIRED, LEASE_RECLAIMED, LeasesEnded
from repomesh.domains.tasks import reclaiming
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.copied_names import rename_copies
from repomesh.store.transaction import Transaction


@on(LEASE_EXPIRED, LEASE_RECLAIMED)
def reclaim_tasks_of_ended_leases(tx: Transaction, event: EmittedEvent[LeasesEnded]) -> None:
    """Reclaim each task whose claim expired or was taken away: open again, or failed."""
    reclaiming.reclaim_ended(tx, event.data.leases)


@on(AGENT_RENAMED)
def rename_in_tasks(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Write an agent's new name into the unfinished tasks that it holds, or that are assigned to it."""
    agent = event.data.agent
    running = tasks.c.status.in_(("open", "claimed", "blocked"))
    for role in ("agent", "assignee"):
        rename_copies(tx, tasks, role, agent.id, agent.name, running)
