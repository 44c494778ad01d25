"""The report of a request: from what was asked to every landed commit, and who answers for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from repomesh.domains.changes import rows as change_rows
from repomesh.domains.changes.models import Risk
from repomesh.domains.requests.lifecycle import rows
from repomesh.domains.requests.lifecycle.errors import RequestNotFound
from repomesh.domains.requests.lifecycle.models import (
    BriefVersion,
    ChangeOfRequest,
    PlanOfRequest,
    ReportedChangeOfRequest,
    ReportedTask,
    RequestReport,
    ShowRequestDetail,
)
from repomesh.domains.tasks import rows as task_rows
from repomesh.kernel.operation import Get, query
from repomesh.store.transaction import Transaction

_HISTORY_MAX = 20  # attempts and checks of one change


@query(
    "request.report",
    http=Get("/v1/requests/{request_id}/report"),
    scope="requests:read",
    errors=(RequestNotFound,),
)
def report_request(tx: Transaction, request: ShowRequestDetail) -> RequestReport:
    """Report what came of a request: its documents, who did its tasks, and how its changes landed."""
    row = rows.find(tx, request.request_id)
    brief, plan = (rows.present_document(tx, row, type_) for type_ in ("brief", "plan"))
    assert not isinstance(brief, PlanOfRequest)
    assert not isinstance(plan, BriefVersion)
    return RequestReport(
        request=rows.as_summary(row),
        text=row.text,
        brief=brief,
        plan=plan,
        tasks=[_as_task(tx, task) for task in rows.tasks_of(tx, row.id)],
        changes=[_as_change(tx, change) for change in rows.changes_of(tx, row.id)],
    )


def _as_task(tx: Transaction, row: Row[Any]) -> ReportedTask:
    return ReportedTask(
        **dict(rows.as_task(row)),
        files=row.scope,
        attempts=task_rows.history(tx, row.id),
        result=row.result,
    )


def _as_change(tx: Transaction, change: ChangeOfRequest) -> ReportedChangeOfRequest:
    row = change_rows.find(tx, change.id)
    return ReportedChangeOfRequest(
        **dict(change),
        reason=row.reason,
        submitted_at=row.created_at,
        landed_at=row.landed_at,
        merged_by=row.merged_by,
        risk=Risk(level=row.risk_level, reasons=row.risk_reasons),
        files=[file.path for file in change_rows.files_of(row)],
        attempts=change_rows.attempts_of(tx, row.id, _HISTORY_MAX),
        checks=change_rows.checks_of(tx, row.id, _HISTORY_MAX),
        approvals=change_rows.approvals_of(tx, row.id, row.patch_id),
    )
