"""What can go wrong with leases and locks."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.domains.leases.models import LockObstacle
from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class LeaseConflict(Conflict):
    """Another agent holds what was requested, or requested it first. Nothing was taken.

    `conflicts` names each: resource, wanted, holder, holder_name, mode, expires_at, waiting, note, hint.
    """

    code = "lease_conflict"
    hint = "`conflicts` says who holds it and until when. Ask the holder, wait, or take other work."

    def __init__(self, message: str, obstacles: Sequence[LockObstacle] = ()) -> None:
        conflicts = [obstacle.model_dump(mode="json") for obstacle in obstacles]
        super().__init__(message, conflicts=conflicts)
        self.obstacles = obstacles


class LockConflict(LeaseConflict):
    """Another agent has locked a path or resource. None of the request's locks was taken."""

    code = "lock_conflict"
    hint = (
        "`conflicts` says who holds it and until when. Ask the holder, queue for it with wait_s, or work on"
        " other files."
    )


class StaleFencingToken(Conflict):
    """The lease of this fencing token has ended, and another agent holds the resource now."""

    code = "stale_fencing_token"
    hint = (
        "Stop: another holder has the lease. Get a new 'fencing_token', and check what changed "
        "before you write."
    )


class LeaseExpired(Conflict):
    """The lease of this fencing token has ended: it expired, was released or was taken away."""

    code = "lease_expired"
    hint = "Acquire it again, check what changed meanwhile, and continue with the new 'fencing_token'."


class NotHolder(Conflict):
    """The calling agent does not hold this lease."""

    code = "not_holder"
    hint = "Acquire it first. The answer has the fencing_token that proves it."


class TooManyLocks(Conflict):
    """The agent or the workspace holds, or waits for, as many locks as one may."""

    code = "too_many_locks"
    hint = "Release unused locks with release_locks, or lock a folder ('src/') instead of its files."


class ComparisonTooLarge(Conflict):
    """Checking the request for conflicts would compare too many patterns.

    Nothing was taken: a lock is granted only when it is known to be free.
    """

    code = "comparison_too_large"
    hint = "Send fewer 'resources' at once, or narrower patterns: begin them with a folder, use fewer '*'."


class InvalidResource(InvalidRequest):
    """A resource is neither a path pattern inside the repository nor a named resource."""

    code = "invalid_resource"
    hint = "Write a path from the root of the repository, like 'src/app.py' or 'src/**', or 'name:anything'."


class LockNotFound(NotFound):
    """No live lock fits the request."""

    code = "lock_not_found"
    hint = "List the locks with GET /v1/locks."
