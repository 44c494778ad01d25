"""Pure decisions about changes: what a state allows, what a change waits for, and what is built next.

submitted → waiting ⇄ queued → building → checking → landing → landed
from any of them: returned, quarantined, rejected, withdrawn, superseded
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from repomesh.domains.changes.configuration import Needed
from repomesh.domains.changes.errors import ChangeStateConflict
from repomesh.domains.changes.models import ChangeState, ErrorClass, MissingApproval, WaitsFor
from repomesh.kernel.clock import rfc3339

WorkState = Literal["building", "checking"]
Action = Literal["approve", "reject", "withdraw", "retry", "replace"]

UNDER_WAY: tuple[ChangeState, ...] = ("submitted", "waiting", "queued", "building", "checking", "landing")
"""States of a change that the queue still works on."""

IN_WORK: tuple[ChangeState, ...] = ("building", "checking", "landing")
"""States of a change that a worker has taken; without a worker they are queued again."""

GIVEN_BACK: tuple[ChangeState, ...] = ("returned", "quarantined")
"""States of a change that its author, or a person, is to do something about."""

NOT_ENDED: tuple[ChangeState, ...] = (*UNDER_WAY, *GIVEN_BACK)
"""States of a change of which something may still come."""

TAKEN_OUT: tuple[ChangeState, ...] = ("rejected", "withdrawn", "superseded")
"""States of a change that will never land."""

# While a change is landing, the branch may have moved already: only the outcome ends that.
_STOPPABLE = frozenset({"submitted", "waiting", "queued", "building", "checking", *GIVEN_BACK})
ALLOWED: Mapping[Action, frozenset[str]] = {
    "approve": frozenset({"submitted", "waiting", "queued", "building", "checking"}),
    "reject": _STOPPABLE,
    "withdraw": _STOPPABLE,
    "retry": frozenset(GIVEN_BACK),
    "replace": _STOPPABLE,
}
_ATTEMPTED = {
    "approve": "approved",
    "reject": "rejected",
    "withdraw": "withdrawn",
    "retry": "tried again",
    "replace": "replaced",
}


def require_allowed(action: Action, change_id: str, state: ChangeState) -> None:
    """Raise ChangeStateConflict unless a change in `state` allows `action`."""
    if state in ALLOWED[action]:
        return
    possible = [name for name, states in ALLOWED.items() if state in states]
    choices = f"possible now: {', '.join(possible)}" if possible else "nothing changes it any more"
    raise ChangeStateConflict(
        f"change {change_id} is {state} and can't be {_ATTEMPTED[action]}; {choices}",
        state=state,
        possible=possible,
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a change belongs: its state, why, what would move it, and what it waits for."""

    state: ChangeState
    reason: str = ""
    next_step: str = ""
    waits_for: WaitsFor | None = None
    error_class: ErrorClass | None = None


_UNTIL = " until "


def is_same_wait(before: str, after: str) -> bool:
    """Whether two reasons to wait for a lock differ in nothing but the time until which it is held."""
    return before.rpartition(_UNTIL)[0] == after.rpartition(_UNTIL)[0] != ""


QUEUED = Placement("queued", "it is ready to be built", "the queue's worker builds it")


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody's lock on a path of a change."""

    path: str
    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether a change can be built."""

    paused: str | None = None
    unlanded: Sequence[str] = ()
    never_landing: Sequence[str] = ()
    missing: MissingApproval = field(default_factory=MissingApproval)
    holders: Sequence[Holder] = ()


def place(facts: Facts) -> Placement:
    """Where a change belongs that nobody works on: queued, waiting or returned. The first reason counts."""
    if facts.never_landing:
        first = facts.never_landing[0]
        return Placement(
            "returned",
            f"it depends on change {first}, which will not land",
            "submit it again without that dependency",
            error_class="base",
        )
    if facts.unlanded:
        shown = ", ".join(facts.unlanded[:3])
        return Placement("waiting", f"it depends on {shown}", "they land", "dependencies")
    lacking = describe_missing(facts.missing)
    if lacking:
        step = "somebody approves it: 'repomesh change approve ID'"
        return Placement("waiting", f"it needs {lacking}", step, "approval")
    if facts.holders:
        holder = facts.holders[0]
        more = f", and {len(facts.holders) - 1} more" if len(facts.holders) > 1 else ""
        return Placement(
            "waiting",
            f"{holder.name} holds {holder.path}{more}{_UNTIL}{rfc3339(holder.expires_at)}, unless renewed",
            "the lock is released or expires",
            "lock",
        )
    if facts.paused is not None:
        return Placement(
            "waiting", f"the queue is paused: {facts.paused}", "'repomesh queue resume'", "pause"
        )
    return QUEUED


def name_some(names: Sequence[str], shown: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"


def describe_missing(missing: MissingApproval) -> str:
    """What approvals are missing, in words; empty for none."""
    parts: list[str] = []
    if missing.people:
        parts.append(
            "a person's approval" if missing.people == 1 else f"the approval of {missing.people} people"
        )
    if missing.reviewers:
        parts.append("a review" if missing.reviewers == 1 else f"{missing.reviewers} reviews")
    parts += [f"an owner's approval ({group})" for group in missing.owners]
    return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class CountedApproval:
    """An approval of the present patch: by whom, and whether that is a person."""

    name: str
    by_person: bool


def missing_approval(
    needed: Needed, verdicts: Collection[CountedApproval], owner_groups: Iterable[Sequence[str]]
) -> MissingApproval:
    """What is still missing. A person counts as a reviewer, too; an owner as '@name' or 'name'."""
    people = sum(verdict.by_person for verdict in verdicts)
    names = {verdict.name.casefold() for verdict in verdicts}
    missing_groups = list[str]()
    for group in owner_groups if needed.owners else ():
        if group and not any(owner.lstrip("@").casefold() in names for owner in group):
            missing_groups.append(" or ".join(group))
    return MissingApproval(
        people=max(0, needed.people - people),
        reviewers=max(0, needed.reviewers - len(verdicts)),
        owners=sorted(set(missing_groups)),
    )


def after_failure(failures: int, attempts_max: int) -> ChangeState:
    """The state of a change that failed for the `failures`-th time by its own fault."""
    return "quarantined" if failures >= attempts_max else "returned"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued change, as a batch is picked from them."""

    id: str
    priority: int
    queued_at: datetime
    barrier: bool


def pick_batch(candidates: Sequence[Candidate], batch_max: int) -> list[Candidate]:
    """The changes that are built next, in the order in which they land.

    The most urgent first, and of these the oldest. A barrier is a batch of its own.
    """
    batch: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (-one.priority, one.queued_at, one.id)):
        if candidate.barrier:
            if not batch:
                return [candidate]
            break  # what is behind it waits, or a barrier would never come to its turn
        batch.append(candidate)
        if len(batch) >= batch_max:
            break
    return batch
