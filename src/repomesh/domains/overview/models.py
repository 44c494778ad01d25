"""The words of what answers from several domains."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.agents.models import Agent, AgentRef, Resources
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.fields import Label
from repomesh.kernel.operation import Model


class Heartbeat(Model):
    """A sign of life, with what the agent wants to tell of itself."""

    agent_id: AgentRef
    status_text: Label | None = Field(None, description="What it is doing.")
    resources: Resources | None = Field(None, description="Figures such as 'context_left'.")


class Pulse(Model):
    """What an agent should know at each heartbeat."""

    agent: Agent
    unread: int = Field(description="Messages not read yet.")
    next_lease_expiry: Timestamp | None = Field(description="When the first of its leases expires.")
    heartbeat_every_s: float
