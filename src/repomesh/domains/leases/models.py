"""The words of leases: something that an agent holds for a while."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.ids import Id
from repomesh.kernel.operation import Model

Mode = Literal["exclusive", "shared"]

EndedReason = Literal["released", "expired", "abandoned", "revoked", "forced"]
"""Why a lease is over: its holder gave it back, or let it expire, went silent, lost its token, or was
overruled by an admin."""


class Lease(Model):
    """Something that an agent holds until `expires_at`, unless it renews."""

    id: Id
    resource_type: str = Field(description="'path', 'resource', 'task' or other work that is held.")
    resource: str
    mode: Mode
    agent_id: Id
    agent_name: str
    fencing_token: int = Field(
        description="Grows with each new lease; whatever it protects refuses an older one."
    )
    task_id: Id | None = Field(description="The task that it is held for.")
    note: str
    ttl_s: float = Field(description="By how much a heartbeat of the holder renews it.")
    acquired_at: Timestamp
    expires_at: Timestamp
    max_hold_until: Timestamp = Field(description="Beyond this a heartbeat does not renew it.")


class Obstacle(Model):
    """What stands against taking a resource: a lease of somebody else, or somebody who asked first."""

    wanted: str = Field(description="The resource of the request.")
    resource_type: str
    resource: str = Field(description="What the other holds or waits for; it overlaps with `wanted`.")
    holder: Id
    holder_name: str
    mode: Mode
    expires_at: Timestamp = Field(description="When the lease, or the wait, ends unless renewed.")
    waiting: bool = Field(description="Whether the other only waits, with an earlier place in the queue.")
    note: str
    hint: str


class LeasesGranted(Model):
    """Leases that one request of one agent took, extended or renewed, as they are now."""

    leases: list[Lease]


class LeasesEnded(Model):
    """Leases of one agent that are over, as they were last, and why."""

    leases: list[Lease]
    reason: EndedReason
    note: str = ""


LEASE_ACQUIRED = event_type("lease.acquired", LeasesGranted)
LEASE_RENEWED = event_type("lease.renewed", LeasesGranted)
LEASE_RELEASED = event_type("lease.released", LeasesEnded)
LEASE_EXPIRED = event_type("lease.expired", LeasesEnded)
LEASE_RECLAIMED = event_type("lease.reclaimed", LeasesEnded)
