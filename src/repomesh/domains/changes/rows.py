"""Rows of changes: find them, build the models from them, move them, and emit the events of that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Table, and_, bindparam, func, insert, literal, or_, select, true, update

from repomesh.domains.changes.errors import ChangeNotFound
from repomesh.domains.changes.models import (
    EVENT_OF_STATE,
    Approval,
    AttemptRecord,
    Change,
    ChangedFile,
    ChangeEventData,
    CheckResult,
    ErrorClass,
    Risk,
    SubmittedChange,
)
from repomesh.domains.changes.queue.processing_models import QueuedChange
from repomesh.domains.changes.rules import IN_WORK, NOT_ENDED, UNDER_WAY, Placement
from repomesh.domains.changes.tables import (
    change_approvals,
    change_attempts,
    change_checks,
    changes,
    check_results,
    queue_lanes,
)
from repomesh.kernel import limits
from repomesh.kernel.event_types import Severity
from repomesh.store.log import NewEvent
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp

_table = changes.c
_LONG = ("description", "declared_scope", "tests", "files", "conflicts", "owners", "needed")
SUMMARY = select(*(column for column in changes.c if column.name not in _LONG))
"""Changes without what only one of them is shown with."""

LANDING_ORDER = (
    _table.priority.desc(),
    func.coalesce(_table.queued_at, _table.created_at),
    _table.id,
)
"""In which changes are built and land; `rules.pick_batch` sorts by the same."""

IN_WORKSPACE = _table.workspace_id == bindparam("ws")
_ONE = IN_WORKSPACE, _table.id == bindparam("change")
_BY_ID = PreparedStatement(select(changes).where(*_ONE))
_ADD = PreparedStatement(insert(changes))
_COLUMNS = tuple(column.name for column in changes.c)
_ADD_ATTEMPT = PreparedStatement(insert(change_attempts))
_IN_TARGET = _table.target == bindparam("target")
_QUEUED = PreparedStatement(
    select(changes)
    .where(IN_WORKSPACE, _table.state == "queued", _IN_TARGET)
    .order_by(*LANDING_ORDER)
    .limit(bindparam("count"))
)
_UNDER_WAY: list[Any] = [bindparam(f"state_{index}") for index in range(len(UNDER_WAY))]
_IS_UNDER_WAY = IN_WORKSPACE, _table.state.in_(_UNDER_WAY)
_COUNT_UNDER_WAY = PreparedStatement(select(func.count()).select_from(changes).where(*_IS_UNDER_WAY))
_GROUPS = PreparedStatement(
    select(_table.state, _table.waits_for, func.min(_table.next_at).label("next_at"))
    .where(*_IS_UNDER_WAY, _IN_TARGET)
    .group_by(_table.state, _table.waits_for)
)
_WAITING = PreparedStatement(
    select(_table.id, _table.depends_on).where(IN_WORKSPACE, _table.state == "waiting").order_by(_table.id)
)
_MAY_MOVE = or_(_table.waits_for == "lock", _table.next_at <= bindparam("now", type_=Timestamp()))
_DUE = PreparedStatement(
    select(changes)
    .where(
        IN_WORKSPACE,
        _IN_TARGET,
        or_(
            _table.state.in_([literal(state) for state in ("submitted", *IN_WORK)]),
            and_(_table.state == "waiting", _MAY_MOVE),
        ),
    )
    .order_by(_table.id)
)
_link, _result = change_checks.c, check_results.c
CHECKS_WITH_RESULTS = change_checks.join(
    check_results,
    (_link.workspace_id == _result.workspace_id)
    & (_link.tree == _result.tree)
    & (_link.check_key == _result.check_key),
)
"""The checks that changes had on their way, each with its result."""

_IN_LANE = queue_lanes.c.workspace_id == bindparam("ws"), queue_lanes.c.target == bindparam("target")
_LANE = PreparedStatement(select(queue_lanes).where(*_IN_LANE))
_WAKE_LANE = PreparedStatement(
    update(queue_lanes)
    .where(queue_lanes.c.workspace_id == bindparam("ws"), queue_lanes.c.target == bindparam("lane"))
    .values(
        due_at=bindparam("now", type_=Timestamp()),
        updated_at=bindparam("now", type_=Timestamp()),
        stall_at=func.coalesce(queue_lanes.c.stall_at, bindparam("stall", type_=Timestamp())),
        woken=true(),
    )
)
_SEVERITIES: dict[str, Severity] = {"returned": "warning", "rejected": "warning", "quarantined": "error"}
_NOT_SHOWN = frozenset(
    {
        "workspace_id",
        "fencing_token",
        "barrier",
        "notice_id",
        "next_at",
        "queued_at",
        "tries",
        "approval_since",
        "escalates_h",
        "expires_h",
        "landed_base",
        "built_base",
        "built_head",
        "escalated_at",
    }
)


def find(tx: Transaction, change_id: str) -> Row[Any]:
    """The row of a change; raises ChangeNotFound."""
    row = tx.execute(_BY_ID, {"ws": tx.workspace_id, "change": change_id}).one_or_none()
    if row is None:
        raise ChangeNotFound(f"there is no change {change_id}")
    return row


def as_change(row: Row[Any]) -> Change:
    """The change in a row of `SUMMARY`, or in a whole one."""
    return Change(**_fields(row))


def as_submitted(row: Row[Any]) -> SubmittedChange:
    """The change in a whole row, with its files."""
    return SubmittedChange(**_fields(row), files=files_of(row))


def files_of(row: Row[Any]) -> list[ChangedFile]:
    """The files that a change touches."""
    return [ChangedFile.of(file) for file in row.files]


def file_columns(files: Sequence[ChangedFile]) -> dict[str, Any]:
    """The columns that say which files a change touches, and how many lines."""
    return {
        "files": [file.model_dump() for file in files],
        "file_count": len(files),
        "lines_added": sum(file.added for file in files),
        "lines_deleted": sum(file.deleted for file in files),
    }


def _fields(row: Row[Any]) -> dict[str, Any]:
    fields = {name: value for name, value in row._asdict().items() if name not in (*_LONG, *_NOT_SHOWN)}
    fields["risk"] = Risk(level=fields.pop("risk_level"), reasons=fields.pop("risk_reasons"))
    return fields


def add(tx: Transaction, fields: dict[str, Any]) -> Row[Any]:
    """Write a new change, of which all columns are given that have a value; returns its row."""
    tx.execute(_ADD, {name: fields.get(name) for name in _COLUMNS})
    return find(tx, fields["id"])


def write(tx: Transaction, change_id: str, **columns: Any) -> Row[Any]:
    """Write columns of a change and its new version; returns the row as it is now."""
    columns["updated_at"] = tx.now
    values = {f"new_{name}": value for name, value in columns.items()}
    statement = _write_statement(tuple(columns))
    return tx.execute(statement, values | {"ws": tx.workspace_id, "change": change_id}).one()


@lru_cache(maxsize=256)
def _write_statement(columns: tuple[str, ...]) -> PreparedStatement:
    """The update that sets `columns`; the operations know about a dozen such sets."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    return PreparedStatement(
        update(changes).where(*_ONE).values(values | {"version": _table.version + 1}).returning(*changes.c)
    )


def note(tx: Transaction, change_id: str, **columns: Any) -> None:
    """Write columns of a change that nobody sees: its version stays."""
    statement = update(changes).where(_table.workspace_id == tx.workspace_id, _table.id == change_id)
    tx.execute(statement.values(**columns))


def set_state(tx: Transaction, row: Row[Any], to: Placement, comment: str = "", **columns: Any) -> Row[Any]:
    """Write the state of a change and emit the event of it; nothing happens where it has it already."""
    target: dict[str, Any] = {
        "state": to.state,
        "reason": to.reason,
        "next_step": to.next_step,
        "waits_for": to.waits_for,
    }
    if to.error_class is not None:
        target["error_class"] = to.error_class
    if not columns and all(getattr(row, name) == value for name, value in target.items()):
        return row
    if to.state == "queued" and row.queued_at is None:
        columns.setdefault("queued_at", tx.now)
    moved = write(tx, row.id, **(columns | target))
    emit(tx, EVENT_OF_STATE[to.state], moved, comment)
    return moved


def emit(tx: Transaction, type_: str, row: Row[Any], comment: str = "") -> None:
    """Emit an event of a change as it is in `row`."""
    data = ChangeEventData(change=as_change(row), comment=comment)
    severity = _SEVERITIES.get(row.state, "info")
    tx.emit(NewEvent(type_, f"change/{row.id}", data, severity=severity, task_id=row.task_id))


def states_of(tx: Transaction, ids: Collection[str]) -> dict[str, str]:
    """The states of changes by id; those that do not exist are left out."""
    if not ids:
        return {}
    statement = select(_table.id, _table.state).where(
        _table.workspace_id == tx.workspace_id, _table.id.in_(list(ids))
    )
    return {row.id: row.state for row in tx.execute(statement)}


def in_states(tx: Transaction, states: Sequence[str], target: str | None = None) -> Sequence[Row[Any]]:
    """The changes in these states, oldest first, of one target branch or of all."""
    statement = _in_states_statement(len(states), of_target=target is not None)
    params = {f"state_{index}": state for index, state in enumerate(states)}
    return tx.execute(statement, params | {"ws": tx.workspace_id, "target": target}).all()


@lru_cache(maxsize=32)
def _in_states_statement(count: int, *, of_target: bool) -> PreparedStatement:
    states: list[Any] = [bindparam(f"state_{index}") for index in range(count)]
    statement = select(changes).where(IN_WORKSPACE, _table.state.in_(states)).order_by(_table.id)
    return PreparedStatement(statement.where(_IN_TARGET) if of_target else statement)


def due_for_placing(tx: Transaction, target: str) -> Sequence[Row[Any]]:
    """The changes of a target branch whose place may be another one by now, though nobody did anything.

    Those that a worker left, those that wait for a lock, and those whose time has come.
    """
    return tx.execute(_DUE, {"ws": tx.workspace_id, "target": target, "now": tx.now}).all()


def with_dependants(tx: Transaction, change_id: str) -> set[str]:
    """The ids of a change and of those that depend on it and have not ended, also by way of others."""
    statement = select(_table.id, _table.depends_on).where(
        _table.workspace_id == tx.workspace_id, _table.state.in_(NOT_ENDED)
    )
    depends_on = {row.id: row.depends_on for row in tx.execute(statement)}
    found, added = {change_id}, {change_id}
    while added:
        added = {id_ for id_, ids in depends_on.items() if added.intersection(ids)} - found
        found |= added
    return found


def next_queued(tx: Transaction, target: str, count: int) -> Sequence[Row[Any]]:
    """The queued changes of a target branch that are built next, at most `count`, in the order of `rules`."""
    return tx.execute(_QUEUED, {"ws": tx.workspace_id, "target": target, "count": count}).all()


def group_under_way(tx: Transaction, target: str) -> Sequence[Row[Any]]:
    """The changes of a target branch that are under way, by state and what they wait for.

    Rows of (state, waits_for, next_at), where `next_at` is the first of the group.
    """
    params = {f"state_{index}": state for index, state in enumerate(UNDER_WAY)}
    return tx.execute(_GROUPS, params | {"ws": tx.workspace_id, "target": target}).all()


def waiting_for(tx: Transaction, change_id: str) -> list[str]:
    """The ids of the waiting changes that depend on a change, oldest first."""
    waiting = tx.execute(_WAITING, {"ws": tx.workspace_id})
    return [row.id for row in waiting if change_id in row.depends_on]


def count_under_way(tx: Transaction) -> int:
    """How many changes are under way."""
    params = {f"state_{index}": state for index, state in enumerate(UNDER_WAY)}
    return int(tx.execute(_COUNT_UNDER_WAY, params | {"ws": tx.workspace_id}).scalar_one())


# Approvals


def approvals_of(tx: Transaction, change_id: str, patch_id: str) -> list[Approval]:
    """The verdicts on a change, oldest first; those on `patch_id` count."""
    statement = (
        select(change_approvals)
        .where(change_approvals.c.workspace_id == tx.workspace_id, change_approvals.c.change_id == change_id)
        .order_by(change_approvals.c.at, change_approvals.c.agent_id)
    )
    return [
        Approval(
            agent_id=row.agent_id,
            agent_name=row.agent_name,
            by_person=row.by_person,
            verdict=row.verdict,
            patch_id=row.patch_id,
            counts=row.patch_id == patch_id,
            comment=row.comment,
            at=row.at,
        )
        for row in tx.execute(statement)
    ]


def add_approval(tx: Transaction, change_id: str, approval: Approval) -> None:
    """Write a verdict; a later one of the same agent on the same patch replaces it."""
    key = {"change_id": change_id, "agent_id": approval.agent_id, "patch_id": approval.patch_id}
    values = approval.model_dump(include={"agent_name", "by_person", "verdict", "comment"}) | {"at": tx.now}
    upsert(tx, change_approvals, key, values)


# Attempts and checks


def add_attempt(
    tx: Transaction, row: Row[Any], base: str, outcome: str, error_class: ErrorClass | None, reason: str
) -> None:
    """Write down how one way of a change through the queue ended."""
    fields = {
        "workspace_id": tx.workspace_id,
        "id": tx.new_id(),
        "change_id": row.id,
        "number": row.attempt,
        "base": base,
        "outcome": outcome,
        "error_class": error_class,
        "reason": reason,
        "at": tx.now,
    }
    tx.execute(_ADD_ATTEMPT, fields)


def attempts_of(tx: Transaction, change_id: str, count_max: int) -> list[AttemptRecord]:
    """The last ways of a change through the queue, newest first."""
    table = change_attempts.c
    statement = (
        select(table.number, table.base, table.outcome, table.error_class, table.reason, table.at)
        .where(table.workspace_id == tx.workspace_id, table.change_id == change_id)
        .order_by(table.id.desc())
        .limit(count_max)
    )
    return [AttemptRecord(**row._asdict()) for row in tx.execute(statement)]


def checks_of(tx: Transaction, change_id: str, count_max: int) -> list[CheckResult]:
    """The results of the checks that a change had on its way, newest first."""
    link, result = _link, _result
    statement = (
        select(
            result.name,
            result.tree,
            result.outcome,
            result.exit_code,
            result.seconds,
            link.cached,
            result.flaky,
            result.output,
            link.at,
        )
        .select_from(CHECKS_WITH_RESULTS)
        .where(link.workspace_id == tx.workspace_id, link.change_id == change_id)
        .order_by(link.at.desc(), result.name)
        .limit(count_max)
    )
    return [CheckResult(**row._asdict()) for row in tx.execute(statement)]


def as_queued(tx: Transaction, row: Row[Any]) -> QueuedChange:
    """What the build of a change needs of it."""
    approvals = approvals_of(tx, row.id, row.patch_id) if any(row.needed.values()) else []
    return QueuedChange(
        id=row.id,
        summary=row.summary,
        description=row.description,
        author_name=row.author_name,
        base_commit=row.base_commit,
        head_commit=row.head_commit,
        patch_id=row.patch_id,
        priority=row.priority,
        task_id=row.task_id,
        barrier=row.barrier,
        created_at=row.created_at,
        queued_at=row.queued_at or row.created_at,
        approved_by=[a.agent_name for a in approvals if a.counts and a.verdict == "approved"],
    )


# Lanes


def lane(tx: Transaction, target: str) -> Row[Any] | None:
    """The lane of a target branch; None before its first change."""
    return tx.execute(_LANE, {"ws": tx.workspace_id, "target": target}).one_or_none()


def lanes(tx: Transaction) -> Sequence[Row[Any]]:
    """The lanes of the workspace, by the names of their branches."""
    table = queue_lanes.c
    statement = select(queue_lanes).where(table.workspace_id == tx.workspace_id).order_by(table.target)
    return tx.execute(statement).all()


def write_lane(tx: Transaction, target: str, **columns: Any) -> None:
    """Write columns of a lane, which is made if need be."""
    upsert(tx, queue_lanes, {"target": target}, columns | {"updated_at": tx.now})


def wake_lane(tx: Transaction, target: str) -> None:
    """Have a worker look at a lane now; if none does, it stands still some time later."""
    stall_at = tx.now + timedelta(seconds=limits.QUEUE_STALL_S)
    params = {"ws": tx.workspace_id, "lane": target, "now": tx.now, "stall": stall_at}
    if not tx.change(_WAKE_LANE, params):
        write_lane(tx, target, due_at=tx.now, stall_at=stall_at, woken=True)


def upsert(tx: Transaction, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Write `values` into the workspace's row of this key, which is made if need be."""
    key = {"workspace_id": tx.workspace_id, **key}
    change, add_new = _upsert_statements(table, tuple(key), tuple(values))
    new_values = {f"new_{name}": value for name, value in values.items()}
    if not tx.change(change, {f"key_{name}": value for name, value in key.items()} | new_values):
        tx.execute(add_new, key | values)


@lru_cache(maxsize=64)
def _upsert_statements(
    table: Table, key: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[PreparedStatement, PreparedStatement]:
    """The update of `columns` in the row of a key, and the insert of such a row."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    statement = update(table).where(*(table.c[name] == bindparam(f"key_{name}") for name in key))
    return PreparedStatement(statement.values(values)), PreparedStatement(insert(table))
