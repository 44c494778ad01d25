"""The words of leases: something that an agent holds for a while."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from repomesh.domains.agents.models import AgentRef
from repomesh.kernel.clock import Timestamp
from repomesh.kernel.event_types import event_type
from repomesh.kernel.fields import Cursor, FencingToken, Label, PageLimit, Reason, TtlSeconds, WaitSeconds
from repomesh.kernel.ids import Id
from repomesh.kernel.limits import (
    LIST_ITEMS_MAX,
    LITERAL_PATH_CHARS_MAX,
    LOSSES_LOOKED_AT,
    PAGE_ITEMS_DEFAULT,
    PATTERN_CHARS_MAX,
    RECEIPT_CHARS_MAX,
)
from repomesh.kernel.operation import Model

Mode = Literal["exclusive", "shared"]

EndedReason = Literal["released", "expired", "abandoned", "revoked", "forced"]
"""Why a lease is over: its holder gave it back, or let it expire, went silent, lost its token, or was
overruled by an admin."""


AUTO_LOCK_NOTE = "editing"
"""The note of locks that the edit hook takes by itself, for the moment of an edit."""

WaitEndReason = Literal["granted", "gave_up", "expired"]


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
    task_id: Id | None = Field(description="The task that the lease belongs to.")
    note: str
    ttl_s: float = Field(description="Seconds by which a heartbeat of the holder renews the lease.")
    acquired_at: Timestamp
    expires_at: Timestamp
    max_hold_until: Timestamp = Field(description="Beyond this a heartbeat does not renew it.")


class LockObstacle(Model):
    """A conflict with a lock request: a lease of another agent, or an earlier request."""

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


ResourceText = Annotated[str, StringConstraints(min_length=1, max_length=PATTERN_CHARS_MAX)]
"""A path pattern from the root of the repository, such as 'src/**', or a named resource 'name:anything'."""

SomeResources = Annotated[
    tuple[ResourceText, ...],
    Field(
        min_length=1,
        max_length=LIST_ITEMS_MAX,
        description="Paths or globs from the repository's root ('src/a.py', 'docs/**', 'src/' for all below),"
        " or names with a colon ('port:8080').",
    ),
]

AnyResources = Annotated[
    tuple[ResourceText, ...], Field(max_length=LIST_ITEMS_MAX, description="As they were locked.")
]


class AcquireLocks(Model):
    """Lock paths or named resources, all of them or none."""

    resources: SomeResources
    mode: Mode = Field("exclusive", description="'shared' lets others share, and keeps writers out.")
    ttl_s: TtlSeconds | None = Field(None, description="How long to hold it; heartbeats renew it meanwhile.")
    wait_s: WaitSeconds = Field(0.0, description="How long to wait in the queue for what others hold.")
    note: Label = Field("", description="What for; shown to whoever wants the same.")


class QueuedAcquireLocks(AcquireLocks):
    """Another attempt of a request that waits in the queue."""

    wait_id: Id


class HeldLock(Model):
    """A lock of the calling agent."""

    id: Id
    resource: str
    mode: Mode
    fencing_token: int
    expires_at: Timestamp


class AcquiredLocks(Model):
    """The locks of one request, with their shared `fencing_token`; `expires_at` is the soonest."""

    locks: list[HeldLock]
    fencing_token: int
    expires_at: Timestamp


class QueuedLocks(AcquiredLocks):
    """Nothing yet: the request has a place in the queue."""

    wait_id: Id


class GaveUpWaiting(Model):
    """A request that left the queue, and the conflicts at that time."""

    wait_s: float
    obstacles: list[LockObstacle]


class RenewLocks(Model):
    """The locks to extend."""

    fencing_token: FencingToken
    resources: AnyResources = ()
    ttl_s: TtlSeconds | None = Field(None, description="From now; without it as long as they were taken for.")


class ReleaseLocks(Model):
    """The locks to release: all with a fencing token, those on some resources, or those that fit both."""

    fencing_token: FencingToken | None = None
    resources: AnyResources = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.fencing_token is None and not self.resources:
            raise ValueError("name the locks by fencing_token, by resources, or by both")
        return self


class ReleasedLocks(Model):
    """The released locks, and the resources of the request that were not held."""

    locks: list[HeldLock]
    not_held: list[str]


class ListLocks(Model):
    """Which locks to list."""

    agent: AgentRef | None = Field(None, description="Only this agent's locks: name or id.")
    path: ResourceText | None = Field(None, description="Only locks that may cover this path, glob or name.")
    prefix: ResourceText | None = Field(None, description="Only locks on this folder and below it.")
    cursor: Cursor | None = None
    limit: PageLimit = PAGE_ITEMS_DEFAULT


class CheckLocks(Model):
    """Ask whether resources could be locked now, without locking them."""

    resources: SomeResources
    mode: Mode = "exclusive"


LiteralPath = Annotated[str, StringConstraints(min_length=1, max_length=LITERAL_PATH_CHARS_MAX)]
"""The exact name of a file from the repository's root, with '%' and whatever is no UTF-8 as '%XX'."""

LiteralPaths = Annotated[tuple[LiteralPath, ...], Field(max_length=LIST_ITEMS_MAX)]


class CheckPaths(Model):
    """Ask who has locked files by their exact names, as git has them: nothing in a name is a wildcard.

    A file also conflicts with locks that name something below it, as if it were a folder.
    """

    paths: LiteralPaths = Field((), description="Each byte of a name may be percent-encoded, '%' must be.")
    folders: LiteralPaths = Field((), description="The same for folders with all below; '.' is the root.")
    mode: Mode = Field("exclusive", description="'shared' passes over shared locks.")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.paths and not self.folders:
            raise ValueError("name at least one path or folder")
        return self


class LockCheck(Model):
    """Whether the caller could lock all of it now, and the conflicts."""

    free: bool
    conflicts: list[LockObstacle]


class ForceReleaseLocks(Model):
    """The locks to take away from their holders; the filters must all match."""

    resources: AnyResources = ()
    fencing_token: FencingToken | None = None
    agent: AgentRef | None = Field(None, description="Only this agent's locks: name or id.")
    reason: Annotated[Reason, StringConstraints(min_length=1)] = Field(description="Why; the holder sees it.")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.fencing_token is None and not self.resources and self.agent is None:
            raise ValueError("name the locks by resources, fencing_token or agent")
        return self


class ForcedLocks(Model):
    """The locks that were taken away, as they were."""

    locks: list[Lease]


class LockWait(Model):
    """A request for locks that waits in the queue."""

    id: Id
    agent_id: Id
    agent_name: str
    resources: list[str]
    mode: Mode
    note: str
    since: Timestamp
    until: Timestamp


class LeasesGranted(Model):
    """Leases that one request of one agent took, extended or renewed, as they are now."""

    leases: list[Lease]


class LeasesEnded(Model):
    """Leases of one agent that are over, as they were last, and why."""

    leases: list[Lease]
    reason: EndedReason
    note: str = ""


class LostLease(Model):
    """A lease that its holder did not give back: it ran out, or was taken away."""

    id: Id
    resource_type: str
    resource: str
    fencing_token: int
    reason: EndedReason
    at: Timestamp = Field(description="When the agent lost it.")
    reached_max_hold: bool = Field(description="Whether heartbeats could not renew it any longer.")
    holder_name: str | None = Field(
        description="The present holder of the same resource; null if none was seen."
    )


class LossesReported(Model):
    """Leases that the acting agent lost, and of which its model was informed."""

    lease_ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=LOSSES_LOOKED_AT)]
    receipt: Annotated[str, StringConstraints(min_length=1, max_length=RECEIPT_CHARS_MAX)]


class LockWaitStarted(Model):
    """An agent queues for locks that others hold, or wait for."""

    wait: LockWait
    obstacles: list[LockObstacle]


class LockWaitEnded(Model):
    """An agent stopped waiting: granted, gave up, or was silent until the wait's end."""

    wait: LockWait
    reason: WaitEndReason


LEASE_ACQUIRED = event_type(
    "lease.acquired", LeasesGranted, "An agent acquired leases: locks, or the claim of a task."
)
LEASE_RENEWED = event_type("lease.renewed", LeasesGranted, "An agent renewed leases.")
LEASE_RELEASED = event_type(
    "lease.released", LeasesEnded, "An agent released leases, or they were released for it."
)
LEASE_EXPIRED = event_type("lease.expired", LeasesEnded, "Leases reached their end and were not renewed.")
LEASE_RECLAIMED = event_type(
    "lease.reclaimed", LeasesEnded, "Leases were taken from an agent that is inactive, or by force."
)
LOCK_WAIT_STARTED = event_type(
    "lock.wait_started", LockWaitStarted, "An agent waits in the queue for locks that others hold."
)
LOCK_WAIT_GRANTED = event_type("lock.wait_granted", LockWaitEnded, "A waiting agent was granted its locks.")
LOCK_WAIT_ABANDONED = event_type(
    "lock.wait_abandoned",
    LockWaitEnded,
    "An agent no longer waits for locks: it gave up, or was silent until the end of its wait.",
)
