"""Moves of a target branch: written down before they are made, and settled by what became of the branch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update

from repomesh.domains.changes import rows
from repomesh.domains.changes.models import CHANGE_ROLLED_BACK, MergedBy
from repomesh.domains.changes.queue import claims, notices, placing, stalls
from repomesh.domains.changes.queue.processing_models import (
    BranchMove,
    BuiltChange,
    Intended,
    IntendLanding,
    LandedCommit,
    LandingOutcome,
    PostponeLanding,
    SettleLanding,
)
from repomesh.domains.changes.rules import Placement
from repomesh.domains.changes.tables import landings
from repomesh.kernel import limits
from repomesh.kernel.operation import Empty, command
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction
from repomesh.store.types import Timestamp

_table = landings.c
_IN_WORKSPACE = _table.workspace_id == bindparam("ws")
_BY_ID = PreparedStatement(select(landings).where(_IN_WORKSPACE, _table.id == bindparam("landing")))
_ADD = PreparedStatement(insert(landings))
_END = PreparedStatement(
    update(landings)
    .where(_IN_WORKSPACE, _table.id == bindparam("landing"))
    .values(outcome=bindparam("how"), ended_at=bindparam("ended"))
)
_OF_TARGET = _IN_WORKSPACE, _table.target == bindparam("target")
_PENDING = PreparedStatement(
    select(landings).where(*_OF_TARGET, _table.outcome == "intended").order_by(_table.id)
)
_ABANDONED = PreparedStatement(
    select(landings)
    .where(*_OF_TARGET, _table.outcome == "dropped", _table.ended_at > bindparam("since", type_=Timestamp()))
    .order_by(_table.id.desc())
    .limit(limits.QUEUE_DROPPED_MAX)
)


@command("queue.intend", scope="changes:admin")
def intend_landing(tx: Transaction, request: IntendLanding) -> Intended:
    """Write down that the target branch is about to move, if everything still allows that.

    What was built may differ from what was approved, locks may have been taken and tasks overtaken: each
    change that must not land is put where it belongs, and nothing is intended.
    """
    lane = claims.require(tx, request)
    refused: list[str] = []
    landing: list[Row[Any]] = []
    landing_ids = {built.change_id for built in request.changes}
    for built in request.changes:
        row = rows.find(tx, built.change_id)
        if row.state not in ("queued", "building", "checking"):
            refused.append(row.id)  # withdrawn or rejected meanwhile
            continue
        row = _write_difference(tx, row, built)
        placement = placing.find_placement(tx, row, landing_ids, lane)
        if placement.state == "queued":
            landing.append(row)
        else:
            placing.apply(tx, row, placement)
            refused.append(row.id)
    if refused or lane.paused_reason is not None:
        return Intended(allowed=False, refused=refused)
    _add(tx, request)
    reason = f"{request.target} moves to {request.new_commit[:12]}"
    for row in landing:
        rows.set_state(tx, row, Placement("landing", reason, "it is about to land"))
    return Intended(allowed=True)


@command("queue.settle_landing", scope="changes:admin")
def settle_landing(tx: Transaction, request: SettleLanding) -> Empty:
    """Record whether the target branch moved as an earlier worker intended."""
    claims.require(tx, request)
    record_outcome(tx, request.landing)
    return Empty()


@command("queue.postpone_landing", scope="changes:admin")
def postpone_landing(tx: Transaction, request: PostponeLanding) -> Empty:
    """Note that nobody knows yet whether the target branch moved; it is looked at again after a pause."""
    claims.require(tx, request)
    for entry in _find(tx, request.landing_id).commits:
        change = rows.find(tx, LandedCommit(**entry).change_id)
        waiting = Placement("landing", request.reason, request.next_step, request.waits_for)
        next_at = tx.now + timedelta(seconds=claims.retry_delay_s(change.tries))
        rows.set_state(tx, change, waiting, tries=change.tries + 1, next_at=next_at)
    return Empty()


def record_outcome(tx: Transaction, outcome: LandingOutcome) -> None:
    """Record whether the target branch moved as intended: the changes landed, or are built again.

    The branch has the last word: what is on it has landed, also where the move had been given up.
    """
    row = _find(tx, outcome.landing_id)
    how = "landed" if outcome.landed else "dropped"
    if row.outcome in ("landed", how):
        return
    if outcome.landed:
        rows.write_lane(tx, row.target, **stalls.restarted_timer(tx))
    tx.change(_END, {"ws": tx.workspace_id, "landing": row.id, "how": how, "ended": tx.now})
    for entry in row.commits:
        commit = LandedCommit(**entry)
        change = rows.find(tx, commit.change_id)
        if not outcome.landed:
            placing.reassess(tx, change)
        elif change.state != "landed":
            _land(tx, change, commit)


def pending_moves(tx: Transaction, target: str) -> list[BranchMove]:
    """The moves of a target branch whose outcome is unknown, oldest first."""
    found: Sequence[Row[Any]] = tx.execute(_PENDING, {"ws": tx.workspace_id, "target": target}).all()
    return [_as_move(row) for row in found]


def abandoned_moves(tx: Transaction, target: str) -> list[BranchMove]:
    """The moves that were given up within QUEUE_DROPPED_S, oldest first, of changes not all landed since."""
    since = tx.now - timedelta(seconds=limits.QUEUE_DROPPED_S)
    found: Sequence[Row[Any]] = tx.execute(
        _ABANDONED, {"ws": tx.workspace_id, "target": target, "since": since}
    ).all()
    moves = [_as_move(row) for row in reversed(found)]
    states = rows.states_of(tx, {commit.change_id for move in moves for commit in move.commits})
    return [
        move for move in moves if any(states.get(commit.change_id) != "landed" for commit in move.commits)
    ]


def _as_move(row: Row[Any]) -> BranchMove:
    return BranchMove(id=row.id, old_commit=row.old_commit, new_commit=row.new_commit, commits=row.commits)


def _find(tx: Transaction, landing_id: str) -> Row[Any]:
    return tx.execute(_BY_ID, {"ws": tx.workspace_id, "landing": landing_id}).one()


def _add(tx: Transaction, request: IntendLanding) -> None:
    commits = [
        LandedCommit(
            change_id=built.change_id, commit=built.commit, parent=built.parent, merged_by=built.merged_by
        ).model_dump()
        for built in request.changes
    ]
    fields = {
        "workspace_id": tx.workspace_id,
        "id": request.landing_id,
        "target": request.target,
        "old_commit": request.old_commit,
        "new_commit": request.new_commit,
        "commits": commits,
        "outcome": "intended",
        "at": tx.now,
    }
    tx.execute(_ADD, fields)


def _write_difference(tx: Transaction, row: Row[Any], built: BuiltChange) -> Row[Any]:
    """Write what a change is as it was built, if that differs from what it was.

    A rebuild that changed the patch is what people are shown from now on, and may touch other files.
    """
    columns: dict[str, Any] = {
        "patch_id": built.patch_id,
        "risk_level": built.risk.level,
        "risk_reasons": built.risk.reasons,
        "needed": built.needed.model_dump(),
        "owners": built.owners,
    }
    if all(getattr(row, name) == value for name, value in columns.items()):
        return row
    if built.patch_id != row.patch_id:
        columns |= {"built_base": built.parent, "built_head": built.commit, "barrier": built.barrier}
        columns |= rows.file_columns(built.files)
    return rows.write(tx, row.id, **columns)


def _land(tx: Transaction, row: Row[Any], commit: LandedCommit) -> None:
    merged_by: MergedBy = commit.merged_by
    rows.add_attempt(tx, row, commit.parent, "landed", None, "")
    landed = Placement("landed", f"it is on {row.target} as {commit.commit[:12]}")
    moved = rows.set_state(
        tx,
        row,
        landed,
        landed_commit=commit.commit,
        landed_base=commit.parent,
        merged_by=merged_by,
        landed_at=tx.now,
        conflicts=[],
    )
    for id_ in row.rolls_back:
        taken_back = rows.write(tx, id_, rolled_back_by=row.id)
        rows.emit(tx, CHANGE_ROLLED_BACK, taken_back, f"change {row.id} took it back")
    notices.notify_landed(tx, moved)
    placing.reassess_dependants(tx, row.id)
