"""The heartbeat of an agent, which renews its leases and returns what waits for it."""

from __future__ import annotations

from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.errors import AgentNotFound, NotYourAgent
from repomesh.domains.leases import leasing
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.overview.liveness.models import Heartbeat, HeartbeatResult
from repomesh.kernel.operation import Post, command
from repomesh.store.transaction import Transaction


@command(
    "agent.heartbeat",
    http=Post("/v1/agents/{agent_id}/heartbeat"),
    scope="agents:write",
    errors=(AgentNotFound, NotYourAgent),
)
def heartbeat(tx: Transaction, request: Heartbeat) -> HeartbeatResult:
    """Report that an agent is alive. Returns what waits for it.

    Its leases are renewed, too, up to the longest hold that the server allows.
    """
    agent = agents.find_agent(tx, request.agent_id)
    agents.require_self(tx, agent)
    reported_fields = request.model_dump(include={"status_text", "resources"}, exclude_none=True)
    agent = agents.touch(tx, agent, tx.caller.instance_id, **reported_fields)
    leasing.renew_by_heartbeat(tx, agent.id)
    return HeartbeatResult(
        agent=agent,
        unread=unread_count(tx, agent.id),
        next_lease_expiry=leasing.soonest_expiry(tx, agent.id),
        heartbeat_every_s=tx.settings.agent_inactive_after_s / agents.HEARTBEATS_PER_LIMIT,
    )
