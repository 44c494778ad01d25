"""What the sweeper runs where something is due: silent agents, expired leases, places in lock queues."""

from __future__ import annotations

from repomesh.domains.agents import operations as agents
from repomesh.domains.leases import overdue_leases, waiting
from repomesh.domains.overview.liveness.models import ReclaimedLease, Reconcile, Reconciled
from repomesh.domains.tasks.reclaiming import reclaimed_tasks
from repomesh.kernel import limits
from repomesh.kernel.operation import Due, Post, command
from repomesh.store.transaction import Transaction


@command(
    "recovery.reconcile",
    http=Post("/v1/recovery/reconcile"),
    scope="recovery:write",
    due=(Due(agents.silent_agents_due), *overdue_leases.DUE, *waiting.DUE),
)
def reconcile(tx: Transaction, request: Reconcile) -> Reconciled:
    """Reclaim expired leases and abandoned tasks at once; the server itself does so in each sweep.

    Agents that went silent become inactive. Leases that ran out, and those of holders that are gone, end.
    Tasks that lost their holder are open again, or failed at their last attempt. Each change is an event,
    too. One call reclaims a bounded number of each; `complete` tells whether that was all.
    """
    if tx.caller.agent_id is not None:  # the caller is alive, however long it was silent
        agents.touch(tx, agents.find_agent(tx, tx.caller.agent_id), tx.caller.instance_id)
    inactive_ids = agents.set_silent_agents_inactive(tx)
    ended_leases = overdue_leases.end_overdue(tx)
    expired_waits = waiting.expire(tx)
    forgotten_count = overdue_leases.forget_ended(tx)
    reclaimed = reclaimed_tasks(tx.react())
    return Reconciled(
        inactive_agent_ids=inactive_ids,
        leases=[
            ReclaimedLease(
                resource_type=lease.resource_type,
                resource=lease.resource,
                agent_id=lease.agent_id,
                agent_name=lease.agent_name,
                fencing_token=lease.fencing_token,
                reason=reason,
            )
            for lease, reason in ended_leases
        ],
        tasks=reclaimed,
        complete=len(inactive_ids) < limits.AGENTS_SWEPT_MAX
        and max(len(ended_leases), expired_waits) < limits.LEASES_RECLAIMED_MAX
        and forgotten_count < limits.LEASES_FORGOTTEN_MAX,
    )
