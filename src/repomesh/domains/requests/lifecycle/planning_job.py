"""The plan that the server itself makes: by the deterministic splitter, at the tip of the target branch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pydantic import PrivateAttr
from sqlalchemy import Row, select

from repomesh.domains.changes.repositories import on_repository
from repomesh.domains.requests.lifecycle import flow, plan_checking, rows
from repomesh.domains.requests.lifecycle.models import BriefVersion
from repomesh.domains.requests.lifecycle.plan_checking import CheckedPlan
from repomesh.domains.requests.lifecycle.tables import requests
from repomesh.kernel import limits
from repomesh.kernel.errors import RepomeshError
from repomesh.kernel.operation import Due, Model, PartialResult, command
from repomesh.kernel.preparation import Preparation
from repomesh.store.due import due_at
from repomesh.store.transaction import Transaction

_table = requests.c
log = structlog.get_logger("repomesh.requests")


class SplitRequest(Model):
    """The request that has waited longest for the server's plan."""

    _made: Any = PrivateAttr(None)


@dataclass(frozen=True, slots=True)
class _MadePlan:
    """What the splitter made of one version of a brief: a plan, or the reason why there is none."""

    request_id: str
    brief_version: int
    plan: CheckedPlan | None
    reason: str = ""


def _first_due(tx: Transaction) -> tuple[Row[Any], BriefVersion] | None:
    statement = (
        select(requests)
        .where(_table.workspace_id == tx.workspace_id, _table.plan_due_at <= tx.now)
        .order_by(_table.priority.desc(), _table.id)
        .limit(1)
    )
    row = tx.execute(statement).one_or_none()
    brief = None if row is None else rows.present_document(tx, row, "brief")
    return None if row is None or not isinstance(brief, BriefVersion) else (row, brief)


async def _split(request: SplitRequest, preparation: Preparation) -> SplitRequest:
    """Make the plan of the request that is due; unchanged when none is."""
    due = await preparation.read(_first_due)
    if due is None:
        return request
    row, brief = due
    made: Callable[[CheckedPlan | None, str], _MadePlan] = partial(_MadePlan, row.id, brief.version)
    try:
        work = partial(plan_checking.split_isolated, brief.document)
        plan = await on_repository(
            preparation, lambda _tx: None, lambda repository, _none: work(repository), "minutes"
        )
        request._made = made(plan, "")
    except RepomeshError as error:
        request._made = made(None, error.message[: limits.REASON_CHARS_MAX // 2])
    except Exception:  # else one repository that can't be planned would be tried for ever, before all others
        log.exception("a request could not be planned", request=row.id)
        request._made = made(None, "it failed; the server's log says why")
    return request


@command(
    "request.split",
    scope="requests:admin",
    prepare=_split,
    due=(
        Due(
            lambda _: due_at(_table.workspace_id, _table.plan_due_at),
            every_s=limits.SWEEP_CHANGES_S,
            on_change=True,
        ),
    ),
)
def split_request(tx: Transaction, request: SplitRequest) -> PartialResult:
    """Write the plan that the server made, or ask people for one. A plan of an older brief is dropped."""
    made: _MadePlan | None = request._made
    if made is not None:
        _settle(tx, made)
    return PartialResult(complete=_first_due(tx) is None)


def _settle(tx: Transaction, made: _MadePlan) -> None:
    row = rows.find(tx, made.request_id)
    if row.plan_due_at is None or row.brief_version != made.brief_version:
        return
    if made.plan is None:
        flow.ask_for_plan(tx, row, f"the server can't make a plan: {made.reason}")
    else:
        flow.accept_plan(tx, row, made.plan.plan, made.plan.risks)
