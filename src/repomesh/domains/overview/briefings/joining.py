"""Joining the workspace: registers the agent and briefs it."""

from __future__ import annotations

from repomesh.domains.agents import operations as agents
from repomesh.domains.agents.errors import (
    AgentActiveElsewhere,
    AgentNameReserved,
    AgentNameTaken,
    AgentStale,
    NotYourAgent,
    PersonReserved,
)
from repomesh.domains.agents.models import RegisterAgent
from repomesh.domains.leases import lost_leases
from repomesh.domains.overview.briefings.briefing import brief, count_unread
from repomesh.domains.overview.briefings.models import JoinedWorkspace, JoinWorkspace
from repomesh.kernel.operation import Post, Tool, command
from repomesh.store.transaction import Transaction


@command(
    "agent.register",
    http=Post("/v1/agents/register"),
    tool=Tool(
        "register_agent",
        "Join under a stable name and be briefed. Do this first, and again when you forgot your work.",
        fields=("name", "model", "capabilities", "force", "max_chars"),
        idempotent=True,
    ),
    scope="agents:write",
    errors=(
        AgentNameTaken,
        AgentNameReserved,
        AgentActiveElsewhere,
        AgentStale,
        NotYourAgent,
        PersonReserved,
    ),
    secret_field="token",
    changes_access=True,
)
def join(tx: Transaction, request: JoinWorkspace) -> JoinedWorkspace:
    """Join the workspace as an agent. Returns the instance token that acts for it, and a briefing.

    The same name is the same agent for ever. A silent instance of it is replaced, a live one only with
    `force`; the replaced instance's token is revoked. An instance that registers again gets its identity,
    keeps its token and may correct its own fields. The briefing contains what the agent holds, what it did
    last, what is unread and what was decided, within `max_chars`.
    """
    fields = request.model_dump(exclude={"max_chars"}, exclude_unset=True)
    registration = agents.register_agent(tx, RegisterAgent(**fields))
    unread = count_unread(tx, registration.agent.id)
    briefing = brief(tx, registration.agent, unread, request.max_chars)
    lost_leases.mark_reported(
        tx,
        registration.agent.id,
        [lease.id for lease in lost_leases.unreported(tx, registration.agent.id)],
        _RECEIPT,
    )
    return JoinedWorkspace(**dict(registration), briefing=briefing)


_RECEIPT = "registered"  # of lost leases that the briefing of a registration reports
