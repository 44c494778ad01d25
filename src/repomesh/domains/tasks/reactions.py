"""What tasks do when the leases on them ended."""

from __future__ import annotations

from repomesh.domains.leases.models import LEASE_EXPIRED, LEASE_RECLAIMED, LeasesEnded
from repomesh.domains.tasks import recovery
from repomesh.kernel.reactions import EmittedEvent, on
from repomesh.store.transaction import Transaction


@on(LEASE_EXPIRED, LEASE_RECLAIMED)
def reclaim_tasks_of_ended_leases(tx: Transaction, event: EmittedEvent[LeasesEnded]) -> None:
    """Reclaim each task whose claim ended without its holder's doing: open again, or failed."""
    recovery.reclaim_ended(tx, event.data.leases)
