"""Operations on the merge queue as a whole: show, pause, resume, configuration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Row, func, select

from repomesh.adapters.git.repository import Repository
from repomesh.domains.agents.people import OWNER_NAME, is_person_named
from repomesh.domains.changes import configuration, rows, rules
from repomesh.domains.changes.errors import NoLane, PausedByPerson
from repomesh.domains.changes.models import QUEUE_RESUMED, QueueEventData
from repomesh.domains.changes.queue import placing, stalls
from repomesh.domains.changes.queue.models import (
    ConfigurationValue,
    Lane,
    Lanes,
    LaneStatus,
    PauseQueue,
    QueueConfiguration,
    QueueStatus,
    ResumeQueue,
    ShowConfiguration,
    ShowQueue,
)
from repomesh.domains.changes.queue.processing import pause_lane
from repomesh.domains.changes.repositories import TARGET_ERRORS, on_repository, read_target
from repomesh.domains.changes.tables import changes
from repomesh.kernel.operation import Get, Post, command, query
from repomesh.kernel.preparation import Preparation
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_table = changes.c
_SHOWN = 50
NO_CHECKS = "no checks are configured: changes land untested. Add [[checks]] to repomesh.toml"


@query("queue.show", http=Get("/v1/queue"), scope="changes:read")
def show_queue(tx: Transaction, request: ShowQueue) -> QueueStatus:
    """Show the merge queue: its lanes, what is built next, and what waits for what."""
    lanes = [lane for lane in rows.lanes(tx) if request.target in (None, lane.target)]
    statement = rows.SUMMARY.where(_table.workspace_id == tx.workspace_id).limit(_SHOWN)
    if request.target is not None:
        statement = statement.where(_table.target == request.target)
    queued = statement.where(_table.state.in_(("queued", *rules.IN_WORK))).order_by(*rows.LANDING_ORDER)
    waiting = statement.where(_table.state.in_(("submitted", "waiting"))).order_by(_table.id)
    return QueueStatus(
        lanes=[_as_status(tx, lane) for lane in lanes],
        next=[rows.as_change(row) for row in tx.execute(queued)],
        waiting=[rows.as_change(row) for row in tx.execute(waiting)],
    )


def _as_lane(lane: Row[Any]) -> Lane:
    return Lane(
        target=lane.target,
        paused=lane.paused_reason is not None,
        paused_reason=lane.paused_reason,
        paused_by=lane.paused_by,
        paused_at=lane.paused_at,
    )


def _as_status(tx: Transaction, lane: Row[Any]) -> LaneStatus:
    table = changes.c
    statement = (
        select(table.state, func.count().label("changes"))
        .where(
            table.workspace_id == tx.workspace_id,
            table.target == lane.target,
            table.state.in_(rules.NOT_ENDED),
        )
        .group_by(table.state)
    )
    counts = {row.state: row.changes for row in tx.execute(statement)}
    return LaneStatus(
        **_as_lane(lane).model_dump(),
        working=lane.claimed_until is not None and lane.claimed_until > tx.now,
        counts=counts,
    )


async def _find_configured_target(request: PauseQueue, preparation: Preparation) -> PauseQueue:
    """Before the first change there is no lane: the repository says which branch is to be paused."""
    if await preparation.read(rows.lanes):  # git, which may hang, is not asked where that can be avoided
        return request
    with suppress(*TARGET_ERRORS):
        request._configured_target = await on_repository(
            preparation, lambda _tx: None, lambda repository, _known: read_target(repository).branch
        )
    return request


@command(
    "queue.pause",
    http=Post("/v1/queue/pause"),
    scope="changes:write",
    errors=(NoLane,),
    needs_agent=False,
    prepare=_find_configured_target,
)
def pause_queue(tx: Transaction, request: PauseQueue) -> Lanes:
    """Stop landing changes. What is being checked is checked to its end, and then waits.

    Before its first change, the branch that `repomesh.toml` names is paused.
    """
    by = tx.caller.agent_name or OWNER_NAME
    configured = request._configured_target
    if configured is not None and request.target in (None, configured):
        rows.write_lane(tx, configured)
    lanes = _lanes(tx, request.target)
    if not lanes:
        raise NoLane("no change was ever submitted, and the repository's target branch can't be read")
    for lane in lanes:
        if lane.paused_reason is None or (
            is_person_named(tx, by) and not is_person_named(tx, lane.paused_by)
        ):
            pause_lane(tx, lane.target, request.reason or f"{by} paused it", by)
    return Lanes(lanes=[_as_lane(lane) for lane in _lanes(tx, request.target)])


@command(
    "queue.resume",
    http=Post("/v1/queue/resume"),
    scope="changes:write",
    errors=(NoLane, PausedByPerson),
)
def resume_queue(tx: Transaction, request: ResumeQueue) -> Lanes:
    """Land changes again. What a person paused, only a person resumes."""
    by = tx.caller.agent_name or OWNER_NAME
    for lane in _lanes(tx, request.target):
        if lane.paused_reason is None:
            continue
        if is_person_named(tx, lane.paused_by) and not is_person_named(tx, by):
            raise PausedByPerson(f"{lane.paused_by} paused the queue of {lane.target}: {lane.paused_reason}")
        resumed = {"paused_reason": None, "paused_by": None, "paused_at": None, "due_at": tx.now}
        rows.write_lane(tx, lane.target, **resumed, **stalls.restarted_timer(tx))
        data = QueueEventData(target=lane.target, reason=lane.paused_reason, by=by)
        tx.emit(NewEvent(QUEUE_RESUMED, f"queue/{lane.target}", data))
        for row in rows.in_states(tx, ("waiting",), lane.target):
            placing.reassess(tx, row)
    return Lanes(lanes=[_as_lane(lane) for lane in _lanes(tx, request.target)])


def _lanes(tx: Transaction, target: str | None) -> Sequence[Row[Any]]:
    lanes = [lane for lane in rows.lanes(tx) if target in (None, lane.target)]
    if target is not None and not lanes:
        raise NoLane(f"no change was ever submitted for '{target}'")
    return lanes


async def _prepare(request: ShowConfiguration, preparation: Preparation) -> ShowConfiguration:
    request._answer = await on_repository(
        preparation, lambda _tx: None, lambda repository, _known: _read_configuration(repository)
    )
    return request


def _read_configuration(repository: Repository) -> QueueConfiguration:
    target = read_target(repository)
    described = configuration.describe(target.configuration, target.branch)
    return QueueConfiguration(
        target=target.branch,
        tip=target.tip,
        file=repository.blob_at(target.tree, configuration.FILE.encode()) is not None,
        values=[ConfigurationValue(key=key, **value) for key, value in described.items()],
        warnings=[] if target.configuration.checks else [NO_CHECKS],
    )


@query(
    "queue.config",
    http=Get("/v1/queue/config"),
    scope="changes:read",
    errors=TARGET_ERRORS,
    prepare=_prepare,
)
def show_configuration(tx: Transaction, request: ShowConfiguration) -> QueueConfiguration:
    """Show what `repomesh.toml` on the target branch's tip says, and where each value comes from."""
    answer: QueueConfiguration = request._answer
    return answer
