"""The words of heartbeats and recovery."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.agents.models import Agent, AgentRef, Resources
from repomesh.domains.leases.models import EndedReason
from repomesh.domains.tasks.models import Reclaimed
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Label
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model, PartialResult


class Heartbeat(Model):
    """A sign of life, with what the agent wants to tell of itself."""

    agent_id: AgentRef
    status_text: Label | None = Field(None, description="What it is doing.")
    resources: Resources | None = Field(None, description="Figures such as 'context_left'.")


class HeartbeatResult(Model):
    """What an agent should know at each heartbeat."""

    agent: Agent
    unread: int = Field(description="Messages not read yet.")
    next_lease_expiry: Timestamp | None = Field(description="When the agent's next lease expires.")
    heartbeat_every_s: float


class Reconcile(Model):
    """Look now for agents, leases and tasks whose time is over."""


class ReclaimedLease(Model):
    """A lease that was reclaimed."""

    resource_type: str
    resource: str
    agent_id: Id
    agent_name: str
    fencing_token: int
    reason: EndedReason


class Reconciled(PartialResult):
    """What was found and reclaimed."""

    inactive_agent_ids: list[Id] = Field(description="Agents that went silent.")
    leases: list[ReclaimedLease]
    tasks: list[Reclaimed]
