"""What the merge queue did: statistics of a time span, and a report of what landed and who answers for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.agents.tables import agents
from repomesh.domains.changes import rows, rules
from repomesh.domains.changes.queue.models import (
    CheckStatistics,
    LandedChange,
    Percentiles,
    QueueStatistics,
    ReportedApproval,
    ReportedCheck,
    ShowReport,
    ShowStatistics,
)
from repomesh.domains.changes.tables import (
    change_approvals,
    change_attempts,
    change_checks,
    changes,
    check_results,
)
from repomesh.domains.tasks.tables import tasks
from repomesh.kernel import limits
from repomesh.kernel.fields import Page
from repomesh.kernel.operation import Get, query
from repomesh.store.listing import Listing, at_least, below, equals
from repomesh.store.transaction import Transaction

_table = changes.c
_DAY = timedelta(days=1)


@query("queue.stats", http=Get("/v1/queue/stats"), scope="changes:read")
def show_statistics(tx: Transaction, request: ShowStatistics) -> QueueStatistics:
    """Show what the queue did since a time: throughput, failures by class, waiting and checking times."""
    since = request.since or tx.now - _DAY
    landed = _landed_since(tx, since, request.target)
    failures = _failures_since(tx, since, request.target)
    returned = sum(count for name, count in failures.items() if name != "infrastructure")
    attempts = len(landed) + returned
    hours = max((tx.now - since) / timedelta(hours=1), 1 / 60)
    depth, oldest = _depth(tx, request.target)
    return QueueStatistics(
        since=since,
        until=tx.now,
        depth=depth,
        oldest_s=None if oldest is None else (tx.now - oldest).total_seconds(),
        landed=len(landed),
        landed_per_h=round(len(landed) / hours, 3),
        returned=returned,
        success_rate=round(len(landed) / attempts, 4) if attempts else None,
        rolled_back=sum(len(row.rolls_back) for row in landed),
        merged_by=dict(Counter(row.merged_by for row in landed)),
        failures=failures,
        wait_s=_percentiles([(row.landed_at - row.created_at).total_seconds() for row in landed]),
        checks=_checks_since(tx, since),
    )


def _landed_since(tx: Transaction, since: datetime, target: str | None) -> Sequence[Row[Any]]:
    statement = (
        select(_table.created_at, _table.landed_at, _table.merged_by, _table.rolls_back)
        .where(_table.workspace_id == tx.workspace_id, _table.landed_at >= since, *_of_target(target))
        .order_by(_table.landed_at.desc())
        .limit(limits.QUEUE_STATS_CHANGES_MAX)
    )
    return tx.execute(statement).all()


def _failures_since(tx: Transaction, since: datetime, target: str | None) -> dict[str, int]:
    attempt = change_attempts.c
    statement = (
        select(attempt.error_class, func.count().label("attempts"))
        .join(changes, (_table.workspace_id == attempt.workspace_id) & (_table.id == attempt.change_id))
        .where(
            attempt.workspace_id == tx.workspace_id,
            attempt.at >= since,
            attempt.error_class.is_not(None),
            *_of_target(target),
        )
        .group_by(attempt.error_class)
    )
    return {row.error_class: row.attempts for row in tx.execute(statement)}


def _checks_since(tx: Transaction, since: datetime) -> CheckStatistics:
    result = check_results.c
    statement = (
        select(result.outcome, result.flaky, result.seconds)
        .where(result.workspace_id == tx.workspace_id, result.at >= since)
        .order_by(result.at.desc())
        .limit(limits.QUEUE_STATS_CHANGES_MAX)
    )
    runs = tx.execute(statement).all()
    return CheckStatistics(
        runs=len(runs),
        passed=sum(run.outcome == "passed" for run in runs),
        flaky=sum(run.flaky for run in runs),
        seconds=_percentiles([run.seconds for run in runs]),
    )


def _depth(tx: Transaction, target: str | None) -> tuple[dict[str, int], datetime | None]:
    """The open changes by state, and when the oldest of those under way was submitted."""
    statement = (
        select(_table.state, func.count().label("count"), func.min(_table.created_at).label("oldest"))
        .where(
            _table.workspace_id == tx.workspace_id,
            _table.state.in_(rules.NOT_ENDED),
            *_of_target(target),
        )
        .group_by(_table.state)
    )
    states = tx.execute(statement).all()
    oldest = min((row.oldest for row in states if row.state in rules.UNDER_WAY), default=None)
    return {row.state: row._mapping["count"] for row in states}, oldest


def depth_everywhere(tx: Transaction) -> tuple[dict[str, int], float]:
    """The open changes of all workspaces by state, and the age of the oldest one under way in seconds."""
    statement = (
        select(_table.state, func.count().label("changes"), func.min(_table.created_at).label("oldest"))
        .where(_table.state.in_(rules.NOT_ENDED))
        .group_by(_table.state)
    )
    states = tx.execute(statement).all()
    oldest = min((row.oldest for row in states if row.state in rules.UNDER_WAY), default=tx.now)
    return {row.state: row.changes for row in states}, (tx.now - oldest).total_seconds()


def _of_target(target: str | None) -> list[ColumnElement[bool]]:
    return [] if target is None else [_table.target == target]


def _percentiles(values: Sequence[float]) -> Percentiles:
    """The nearest-rank percentiles of some values."""
    ordered = sorted(values)

    def rank(share: float) -> float | None:
        return round(ordered[ceil(share * len(ordered)) - 1], 3) if ordered else None

    return Percentiles(count=len(ordered), p50=rank(0.5), p95=rank(0.95))


def _as_landed(row: Row[Any]) -> LandedChange:
    return LandedChange(**row._asdict())


def _load_details(tx: Transaction, items: list[LandedChange], _max_chars: int) -> list[LandedChange]:
    """The landed changes with their approvals and checks."""
    ids = [item.id for item in items]
    approvals, checks = _approvals_of(tx, ids), _checks_of(tx, ids)
    return [
        item.model_copy(
            update={
                "approvals": approvals.get(item.id, []),
                "checks": checks.get(item.id, []),
            }
        )
        for item in items
    ]


def _approvals_of(tx: Transaction, ids: Sequence[str]) -> dict[str, list[ReportedApproval]]:
    approval = change_approvals.c
    statement = (
        select(approval.change_id, approval.agent_name, approval.by_person)
        .join(changes, (_table.workspace_id == approval.workspace_id) & (_table.id == approval.change_id))
        .where(
            approval.workspace_id == tx.workspace_id,
            approval.change_id.in_(ids),
            approval.patch_id == _table.patch_id,
            approval.verdict == "approved",
        )
        .order_by(approval.at, approval.agent_id)
    )
    found: dict[str, list[ReportedApproval]] = {}
    for row in tx.execute(statement):
        found.setdefault(row.change_id, []).append(
            ReportedApproval(agent_name=row.agent_name, by_person=row.by_person)
        )
    return found


def _checks_of(tx: Transaction, ids: Sequence[str]) -> dict[str, list[ReportedCheck]]:
    """The checks that passed on the way of each change; of several runs of one check the last."""
    link, result = change_checks.c, check_results.c
    statement = (
        select(link.change_id, result.name, link.cached, result.flaky, result.seconds)
        .select_from(rows.CHECKS_WITH_RESULTS)
        .where(link.workspace_id == tx.workspace_id, link.change_id.in_(ids), result.outcome == "passed")
        .order_by(link.at, result.name)
    )
    found: dict[str, dict[str, ReportedCheck]] = {}
    for row in tx.execute(statement):
        check = ReportedCheck(name=row.name, cached=row.cached, flaky=row.flaky, seconds=row.seconds)
        found.setdefault(row.change_id, {})[row.name] = check
    return {change_id: list(checks.values()) for change_id, checks in found.items()}


_REPORT = Listing(
    Page[LandedChange],
    _as_landed,
    keys=(_table.id,),
    descending=True,
    filters={
        "since": at_least(_table.landed_at),
        "until": below(_table.landed_at),
        "target": equals(_table.target),
        "task_id": equals(_table.task_id),
        "author": lambda tx, agent: _table.author_id == find_agent(tx, agent).id,
    },
    load_texts=_load_details,
)


@query("queue.report", http=Get("/v1/queue/report"), scope="changes:read", errors=(AgentNotFound,))
def report_landed(tx: Transaction, request: ShowReport) -> Page[LandedChange]:
    """Report what landed: who asked for it, who made it, how it was merged and checked, who approved it."""
    joined = changes.outerjoin(
        tasks, (tasks.c.workspace_id == _table.workspace_id) & (tasks.c.id == _table.task_id)
    ).outerjoin(agents, agents.c.id == tasks.c.created_by)
    statement = (
        select(
            _table.id,
            _table.summary,
            _table.target,
            _table.landed_commit,
            _table.landed_at,
            _table.author_name,
            _table.merged_by,
            _table.risk_level,
            _table.task_id,
            tasks.c.goal.label("task_goal"),
            agents.c.name.label("requested_by"),
            _table.rolls_back,
            _table.rolled_back_by,
        )
        .select_from(joined)
        .where(_table.workspace_id == tx.workspace_id, _table.landed_at.is_not(None))
    )
    return _REPORT.read(tx, statement, request)
