"""What tasks do when the leases on them ended."""

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
    """Reclaim each task whose claim ended without its holder's doing: open again, or failed."""
    reclaiming.reclaim_ended(tx, event.data.leases)


@on(AGENT_RENAMED)
def rename_in_tasks(tx: Transaction, event: EmittedEvent[AgentRenamed]) -> None:
    """Have the tasks that are not over bear the new name of who holds them, or alone may claim them."""
    agent = event.data.agent
    running = tasks.c.status.in_(("open", "claimed", "blocked"))
    for role in ("agent", "assignee"):
        rename_copies(tx, tasks, role, agent.id, agent.name, running)
